"""Tables of lab/docs/measurements on speed and memory: kernels, generation, caches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from results_table import head

STAGES = "stages, CPU ms"
FORMATS = ("bf16", "int8", "int4")
OTHERS = ("transformers", "vLLM", "llama.cpp dense", "llama.cpp mixture")
"""Columns of the table of generation, beside ours."""
RIVALS = {
    "bf16": ("compiled batched_mm bf16", "vLLM bf16", "zentorch bf16", "llama.cpp BF16 bf16"),
    "int8": ("SGLang int8", "llama.cpp Q8_0 int8"),
    "int4": ("SGLang int4", "llama.cpp Q4_1 int4", "llama.cpp Q4_0 int4"),
}
"""Columns of the kernels' tables, by our format that they are compared with."""

_Row = Mapping[str, float]


def server(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield seconds and memory of a server."""
    seconds, memory = results["seconds"]["here"], results["memory_mb"]["here"]
    ready, *_, last = (some for some in memory.values() if isinstance(some, dict))
    yield from head("|")
    times = " / ".join(f"{seconds[name]:.2f}" for name in ("listening", "ready", "first answer"))
    yield f"| listens / ready / first answer, s | {times} |"
    five, three = memory["seconds_an_answer"], memory["seconds_an_answer_of_three_passages"]
    yield f"| an answer of five passages / of three, 64 tokens, s | {five:.2f} / {three:.2f} |"
    for name in ("resident", "weights", "files", "anonymous"):
        yield f"| {name}, ready / after the answers, MB | {ready[name]:.0f} / {last[name]:.0f} |"


def service(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each figure of a part."""
    yield from head("figure | value")
    for part, now in results["here"].items():
        if part == STAGES:
            continue
        for name, value in now.items():
            yield f"| {part}: {name} | {value:,.2f} |"


def store(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each operation of the store: its seconds of CPU and of the clock."""
    yield from head("operation | CPU, s | clock, s")
    for name, row in results["operations"].items():
        yield f"| {name} | {row['cpu_s']:.3f} | {row['wall_s']:.3f} |"


def replicas(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each size of a store: what is transferred first, and for an upsert."""
    whole, upsert = "database, MB | first push, MB", "upsert: push, KB | objects | pull, KB"
    yield from head(f"chunks | {whole} | {upsert} | with blocks of 256 KiB, KB")
    for row in results.values():
        pushed, pulled = row["upsert"]["push"], row["upsert"]["pull"]
        fixed = row["uploaded_by_block_bytes"][str(1 << 18)]["packed"]
        first = row["first"]["push"]["bytes"]
        cells = (
            f"{row['chunks']:,} | {row['database'] / 1e6:.1f} | {first / 1e6:.1f}",
            f"{pushed['bytes'] / 1e3:,.0f} | {pushed['objects']:.0f}",
            f"{pulled['bytes'] / 1e3:,.0f} | {fixed / 1e3:,.0f}",
        )
        yield f"| {' | '.join(cells)} |"


def residency(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each share of the experts in memory: ours beside a plain mapping."""
    yield from head(
        "in memory | tokens/s, ours | plain mapping | ratio | hits | LRU | Belady | read ahead "
        "| MB read a token | ms stalled a token"
    )
    ways = results["ways"]
    yield f"| no limit | | {ways['unbounded']['tokens_per_s']:.1f} | | | | | | | |"
    for share, others in results["policies"].items():
        ours, mapped = ways[f"ours {share}"], ways[f"mmap {share}"]
        speed, other = ours["tokens_per_s"], mapped["tokens_per_s"]
        rates = ours["hit_rate"], others["lru"], others["belady"], ours["read_ahead"]
        yield (
            f"| {float(share):.0%} | {speed:.1f} | {other:.1f} | {speed / other:.1f} "
            f"| {' | '.join(f'{rate:.1%}' for rate in rates)} | {ours['read_mb_per_token']:.0f} "
            f"| {ours['stalled_ms_per_token']:.0f} |"
        )


def layers(shape: str) -> Callable[[Mapping[str, Any]], Iterator[str]]:
    """Return what makes the table of a shape."""
    return lambda results: kernels([row for row in results["rows"] if row["shape"] == shape])


def kernels(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the rows of one shape: our three formats, and others' time divided by ours."""
    others = (
        f"{format}: {', '.join(name.removesuffix(f' {format}') for name in names)}"
        for format, names in RIVALS.items()
    )
    yield from head(
        "T | ms bf16, int8, int4 | of the roofline | against grouped_mm bf16 "
        f"| {' | '.join(others)} | GB/s"
    )
    by = {(row["T"], row["format"], row["rival"]): row for row in rows}
    plain = "grouped_mm bf16"
    for tokens in dict.fromkeys(row["T"] for row in rows):
        ours = [by[tokens, format, plain] for format in RIVALS]
        cells = [
            ", ".join(f"{row['ms']:.3g}" for row in ours),
            ", ".join(f"{row['roofline']:.0%}".replace("%", " %") for row in ours),
            ", ".join(f"{row['ratio']:.2f}" for row in ours),
        ]
        for format, names in RIVALS.items():
            found = (by.get((tokens, format, name)) for name in names)
            cells.append(", ".join(f"{row['ratio']:.2f}" if row else "-" for row in found))
        yield f"| {tokens} | {' | '.join(cells)} | {ours[0]['read_gb_per_s']:.0f} |"


def generation(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each figure, with ours, transformers and llama.cpp side by side."""
    yield from head(
        "| ours bf16, int8, int4 | transformers bf16 | vLLM bf16 "
        "| llama.cpp dense, same bits | llama.cpp mixture, same bits"
    )
    for part, what in (
        ("single", "1 sequence, decode, tokens per second"),
        ("concurrent_8", "8 at once, tokens per second of all, prefill included"),
        ("concurrent_16", "16 at once"),
    ):
        yield _contest(what, results[part], "tokens_per_s")
        if part == "single":
            what = "its prefill, tokens per second"
            yield _contest(what, results[part], "prompt_tokens_per_s")
    for texts in (8, 16):
        rows = results[f"concurrent_{texts}"]
        cells = (
            ", ".join(f"{row['ttft_p95_ms'] / 1e3:.1f}" for row in _rows_of(rows, kind))
            for kind in ("ours", *OTHERS)
        )
        yield f"| {texts} at once, first token, 95th percentile, s | {' | '.join(cells)} |"


def _contest(what: str, rows: Mapping[str, Mapping[str, float]], figure: str) -> str:
    ours = ", ".join(_three(rows[f"ours {format}"][figure]) for format in FORMATS)
    theirs = (
        ", ".join(
            f"{_three(row[figure])} (x {row[f'ratio_{figure}']:.1f})"
            for row in _rows_of(rows, kind)
        )
        for kind in OTHERS
    )
    return f"| {what} | {ours} | {' | '.join(theirs)} |"


def _rows_of(rows: Mapping[str, _Row], kind: str) -> Iterator[_Row]:
    """Yield a contestant's rows by format, those that were measured."""
    return (rows[name] for format in FORMATS if (name := f"{kind} {format}") in rows)


def _three(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def adapters(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each choice of adapters: tokens per second, and by those without."""
    formats = list(results["adapters"])
    yield from head(f"adapters of 8 sequences | {' | '.join(formats)}")
    for name in results["adapters"][formats[0]]:
        rows = [results["adapters"][format][name] for format in formats]
        cells = (f"{row['tokens_per_s']:.0f} (x {row['ratio']:.2f})" for row in rows)
        yield f"| {name} | {' | '.join(cells)} |"
