"""Write benchmark results into the documentation and the package.

    python benchmarks/doc_figures.py            write
    python benchmarks/doc_figures.py --check    fail if a file is not current

The pages of docs/measurements have the tables of most files of benchmarks/results, README.md has a
table with the most telling figures of all, and expertrag/models/answers.json, which `expertrag
models list` shows, the shares of right answers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from readme_figures import ROOT, load_results, readme_table

MEASUREMENTS = ROOT / "docs" / "measurements"
README = ROOT / "README.md"
CARRIED = ROOT / "expertrag" / "models" / "answers.json"
RIVALS = {
    "bf16": ("compiled batched_mm bf16", "vLLM bf16", "zentorch bf16", "llama.cpp BF16 bf16"),
    "int8": ("SGLang int8", "llama.cpp Q8_0 int8"),
    "int4": ("SGLang int4", "llama.cpp Q4_1 int4", "llama.cpp Q4_0 int4"),
}
"""Columns of the kernels' tables, by our format that they are compared with."""


def main() -> int:
    """Write or check the files; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = 0
    for path, text in written().items():
        if path.read_text(encoding="utf-8") != text:
            stale += 1
            outcome = "is not current: run make docs" if check else "written"
            print(f"{path.relative_to(ROOT)} {outcome}")
            if not check:
                path.write_text(text, encoding="utf-8")
    return int(check and stale > 0)


def written() -> dict[Path, str]:
    """Return the content of every file."""
    answers, kernels = load_results("answers"), load_results("kernels")["rows"]
    blocks: dict[str, dict[str, Iterable[str]]] = {
        "answers": {"answers": _table(answers), "mixed": _mixed(load_results("mixed")["figures"])},
        "embedding-experts": {
            "experts left out": _left_out(load_results("experts_left_out")["figures"])
        },
        "grounding": {"strict threshold": _strict(load_results("strict_threshold")["rows"])},
        "gate": {
            "training-free gate": _gate(load_results("gate")),
            "gates left out": _gates(load_results("gate_left_out")),
        },
        "generation": {
            "server": _server(load_results("server_start")),
            "hot": _hot(load_results("hot")),
            "kept": _kept(load_results("kept")),
        },
        "kernels": {
            f"kernels, {shape}": _kernels([row for row in kernels if row["shape"] == shape])
            for shape in dict.fromkeys(row["shape"] for row in kernels)
        },
    }
    found = {CARRIED: json.dumps(_carried(answers), indent=1) + "\n"}
    pages = {MEASUREMENTS / f"{page}.md": tables for page, tables in blocks.items()}
    pages[README] = {"figures": readme_table(_models(answers)[1])}
    for path, tables in pages.items():
        text = path.read_text(encoding="utf-8")
        for name, lines in tables.items():
            text = _with(text, name, lines)
        found[path] = text
    return found


def _with(page: str, name: str, lines: Iterable[str]) -> str:
    """Put lines between the markers of one name in a page."""
    first, last = f"<!-- made by `make docs`: {name} -->", f"<!-- end of {name} -->"
    before, rest = page.split(first)
    return f"{before}{chr(10).join((first, *lines, last))}{rest.split(last)[1]}"


def _mixed(parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """Yield a table for each part, with the models side by side."""
    sides: dict[str, dict[str, Sequence[Mapping[str, Any]]]] = {}
    for name, figures in parts.items():
        part, _, model = name.partition(", ")
        sides.setdefault(part, {})[model] = figures
    for part, by_model in sides.items():
        models = list(by_model)
        own = part == "search"
        columns = ("a store of its own", "the mixed store", "change") if own else models
        yield from ("", f"**{part.capitalize()}**", "")
        yield f"| | n | {' | '.join(columns)} | target |"
        yield "|---|---|" + "---|" * (len(columns) + 1)
        named = [{row["name"]: row for row in rows} for rows in by_model.values()]
        for name in dict.fromkeys(name for rows in named for name in rows):
            rows = [rows[name] for rows in named if name in rows]
            cells = [_estimate(some[name]["after"]) if name in some else "" for some in named]
            first = rows[0]
            if own:
                cells = [_estimate(first["before"]), *cells, _estimate(first["change"])]
            verdicts = ("reached" if row["reached"] else "missed" for row in rows)
            asked = first["bar"] and f"{first['bar']}: {', '.join(verdicts)}"
            count = " / ".join(str(row["after"]["n"]) for row in rows if row["after"])
            yield f"| {name} | {count} | {' | '.join(cells)} | {asked} |"


def _left_out(figures: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield "| domain, set left out, search | n | base | expert | change | target |"
    yield "|---|---|---|---|---|---|"
    for row in figures:
        cells = [_estimate(row[side]) for side in ("before", "after", "change")]
        verdict = row["bar"] and f"{row['bar']}: {'reached' if row['reached'] else 'missed'}"
        yield f"| {row['name']} | {row['after']['n']} | {' | '.join(cells)} | {verdict} |"


def _strict(rows: Iterable[Mapping[str, float]]) -> Iterator[str]:
    """Yield a row for each threshold."""
    shown = (
        "right, of those given",
        "right, of the answerable",
        "abstains, unanswerable",
        "abstains, answerable",
        "given, of the right verdicts",
    )
    yield f"| withheld from a doubt of, a yes or no of | {' | '.join(shown)} |"
    yield "|---|" + "---|" * len(shown)
    for row in rows:
        cells = " | ".join(f"{row[name]:.2f}" for name in shown)
        yield f"| {row['doubt']:g}, {row['doubt of a verdict']:g} | {cells} |"


def _estimate(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _server(results: Mapping[str, Any]) -> Iterator[str]:
    seconds, memory = results["seconds"]["here"], results["memory_mb"]["here"]
    ready, *_, last = (some for some in memory.values() if isinstance(some, dict))
    yield "| | |"
    yield "|---|---|"
    times = " / ".join(f"{seconds[name]:.2f}" for name in ("listening", "ready", "first answer"))
    yield f"| listens / ready / first answer, s | {times} |"
    five, three = memory["seconds_an_answer"], memory["seconds_an_answer_of_three_passages"]
    yield f"| an answer of five passages / of three, 64 tokens, s | {five:.2f} / {three:.2f} |"
    for name in ("resident", "weights", "files", "anonymous"):
        yield f"| {name}, ready / after the answers, MB | {ready[name]:.0f} / {last[name]:.0f} |"


def _hot(results: Mapping[str, Any]) -> Iterator[str]:
    yield "| set (questions) | right | abstains | prompts | seconds, cold | hot |"
    yield "|---|---|---|---|---|---|"
    for name, figures in results["sets"].items():
        sides = figures["together"], figures["best_first"]
        cells = (
            " -> ".join(form.format(side[key]) for side in sides)
            for key, form in (
                ("right", "{:.2f}"),
                ("abstains", "{:.2f}"),
                ("prompts", "{:.1f}"),
                ("cold_s", "{:.2f}"),
                ("hot_s", "{:.2f}"),
            )
        )
        yield f"| {name} ({figures['questions']}) | {' | '.join(cells)} |"


def _kept(results: Mapping[str, Any]) -> Iterator[str]:
    sizes = list(next(iter(results.values()))["together"]["shuffled"])
    yield f"| `--reuse-mib` | tokens a question | {' | '.join(sizes)} |"
    yield "|---|---|" + "---|" * len(sizes)
    for name, ways in results.items():
        for way, figures in ways.items():
            tokens = f"{figures['tokens_a_question']:.0f}"
            for order in ("as they come", "shuffled"):
                cells = " | ".join(f"{figures[order][size] * 100:.1f} %" for size in sizes)
                yield f"| {name}, {way}, {order} | {tokens} | {cells} |"


def _kernels(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the rows of one shape: our three formats, and others' time divided by ours."""
    others = (
        f"{format}: {', '.join(name.removesuffix(f' {format}') for name in names)}"
        for format, names in RIVALS.items()
    )
    yield (
        "| T | ms bf16, int8, int4 | of the roofline | beside grouped_mm bf16 "
        f"| {' | '.join(others)} | GB/s |"
    )
    yield "|---|---|---|---|---|---|---|---|"
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


def _gate(results: Mapping[str, Any]) -> Iterator[str]:
    kinds = list(next(iter(results.values())))
    yield f"| store | {' | '.join(kinds)} |"
    yield "|---|" + "---|" * len(kinds)
    for name, figures in results.items():
        cells = (
            f"{row['retrieved']:.3f}"
            + ("" if kind.startswith("own") else f", AUC {row['auc']:.3f}")
            for kind, row in figures.items()
        )
        yield f"| {name} | {' | '.join(cells)} |"


def _gates(results: Mapping[str, Any]) -> Iterator[str]:
    yield f"| {results['rows']} rows | right | searches |"
    yield "|---|---|---|"
    for name, searches in (("never", 0), ("always", 1)):
        yield f"| {name} | {results[name]:.3f} | {searches:.2f} |"
    for gate in results["gates"]:
        name = f"{gate['model']}: {', '.join(gate['signals'])}"
        yield f"| {name} | {gate['right']:.3f} | {gate['searches']:.2f} |"


def _table(results: Mapping[str, Any]) -> Iterator[str]:
    small, large = _models(results)
    yield f"| figure | n | `{small}` | `{large}` [95 %] | target |"
    yield "|---|---|---|---|---|"
    for part, figures in results["figures"].items():
        for item in figures:
            after, before = item["after"], item["before"]
            if after is None:
                continue
            bar = (
                f"{item['bar']}, {'reached' if item['reached'] else 'missed'}"
                if item["bar"]
                else ""
            )
            first = "" if before is None else f"{before['mean']:.3f}"
            last = f"{after['mean']:.3f} [{after['low']:.3f}, {after['high']:.3f}]"
            yield f"| {part}: {item['name']} | {after['n']} | {first} | {last} | {bar} |"


def _carried(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    small, large = _models(results)
    found: dict[str, dict[str, float]] = {small: {}, large: {}}
    for item in results["figures"]["found"]:
        name, _, what = item["name"].partition(", ")
        if what in ("contains", "verdict"):
            for model, side in ((small, "before"), (large, "after")):
                found[model][name] = round(item[side]["mean"], 2)
    return found


def _models(results: Mapping[str, Any]) -> tuple[str, str]:
    first, *_, last = results["manifest"]["inputs"]["models"]
    small, large = (next(iter(item.values()))["generator"]["name"] for item in (first, last))
    return str(small), str(large)


if __name__ == "__main__":
    raise SystemExit(main())
