"""What a packed model reaches of the machine's limits, and beside llama.cpp.

    python benchmarks/generation_limits.py DATA/squad2 --gguf FILE --packed FOLDER \
        --llamacpp FOLDER --json FILE

The prompt's share of the peak of byte products, and the share of the bandwidth that a written token
reads its weights with. Both limits are measured in every round, beside what is compared with them,
as neighbours take cores and bandwidth away: a share is of its own round, and medians are reported.
Products are those of the weights alone, so that attention and all else counts as lost, and only
those that are done: of the last layer a prompt's tokens have what makes their keys and values.
llama.cpp (llama-cpp-python, built for the machine) runs the same file, in turns and in both orders,
one text at a time and eight that come at once; ik_llama.cpp (``--ik``) one text at a time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from bench_kernels import machine
from generation_ik import IkLlamaCpp
from generation_llamacpp import LlamaCpp
from generation_prompts import asked
from generation_runs import Run, write

from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import Lowered, lower
from expertrag.llm.load.loading import PACKED_FILE, ModelFiles, quiet
from expertrag.llm.load.packed_loading import packed_format
from expertrag.llm.load.source import ModelSource
from expertrag.llm.network import Limits
from expertrag_kernels import PackedExperts, PackedMatrix, load_packed
from expertrag_kernels.cpu_experts import ISAS, _cpu
from expertrag_kernels.decoder import Decoder

PROMPT, TOKENS = 1180, 48
CACHE_BYTES = 1 << 30
PROBE_BYTES = 256 << 20


def main() -> int:
    """Measure, print, and write JSON where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="a dataset folder (BEIR layout)")
    parser.add_argument("--packed", type=Path, required=True, help="what models pack made")
    parser.add_argument("--gguf", type=Path, help="the file it was made of, for llama.cpp")
    parser.add_argument("--llamacpp", type=Path, help="folder with llama-cpp-python")
    parser.add_argument("--ik", type=Path, help="folder with ik-llama-cpp-python")
    parser.add_argument("--texts", type=int, nargs="+", default=(1, 8), help="that come at once")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if ISAS[0] != "avx512bf16":
        parser.error("the peak is that of AVX512-VNNI, which this machine has not")
    if (given.llamacpp or given.ik) and not given.gguf:
        parser.error("llama.cpp needs --gguf")
    source, lowered, weights = opened(given.packed)
    # without guesses, as a step of several rows says nothing about reading weights
    engine = Engine(lowered.decoder, threads=torch.get_num_threads(), speculate=False)
    prompts = prompts_of(given.data, source.tokenizer, given.rounds + 8)
    found: dict[str, Any] = {
        "limits": limits(engine, work(weights, source.config), prompts, given.rounds)
    }
    if given.llamacpp:
        for texts in given.texts:
            rival = LlamaCpp(given.llamacpp, given.gguf, texts=texts, context_tokens=1536)
            chosen = prompts[:8]
            found[f"llama.cpp, {texts} texts"] = beside(engine, rival, chosen, texts, given.rounds)
            rival.stop()
    if given.ik:
        forked = IkLlamaCpp(given.ik, given.gguf, context_tokens=1536)
        found["ik_llama.cpp, 1 text"] = beside(engine, forked, prompts[:1], 1, given.rounds)
        forked.stop()
    engine.stop()
    found |= {
        "machine": machine(),
        "model": given.packed.name,
        "commit": _said("git", "rev-parse", "--short", "HEAD"),
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["generation_limits.py", *(Path(a).name for a in sys.argv[1:])]),
    }
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def opened(folder: Path) -> tuple[ModelSource, Lowered, Mapping[str, Any]]:
    """Put a packed model onto the engine, as it is served."""
    source = ModelSource(ModelFiles(folder))
    packed = load_packed(folder / PACKED_FILE, mapped=True)
    with quiet():
        model = source.outline(source.config.dtype)
    length = min(2048, Limits.of(model, source.tokenizer).context_tokens)
    lowered = lower(
        model,
        packed_format(packed),
        cache_bytes=CACHE_BYTES,
        context_tokens=length,
        packed=packed,
        make=Decoder,
    )
    return source, lowered, packed


def prompts_of(data: Path, tokenizer: Any, count: int) -> list[list[int]]:
    """Passages of a dataset's questions, PROMPT tokens each, no two with the same beginning."""
    found = []
    for number, one in enumerate(asked(data, count)):
        text = f"{number} {one.question}\n" + "\n".join(p.text for p in one.passages) * 4
        found.append(tokenizer(text, verbose=False)["input_ids"][:PROMPT])
    return found


def limits(
    engine: Engine, work: tuple[int, int], prompts: Sequence[list[int]], rounds: int
) -> dict[str, float]:
    """One text at a time beside what the machine can do, medians of the rounds."""
    assert _cpu is not None, "ISAS is not empty"
    threads = torch.get_num_threads()
    products, read = work
    probe = torch.ones(PROBE_BYTES, dtype=torch.uint8)
    rows: list[dict[str, float]] = []
    for number in range(rounds):
        prompt = prompts[number]
        peak = _cpu.int8_products(threads)
        run = write(engine, [prompt], TOKENS)
        peak = max(peak, _cpu.int8_products(threads))
        bandwidth = PROBE_BYTES / _cpu.read_seconds(probe.data_ptr(), PROBE_BYTES, threads)
        speed = len(prompt) / run.first[0]
        written = (TOKENS - 1) / (run.seconds - run.first[0])
        rows.append(
            {
                "prompt_tokens_per_s": speed,
                "int8_products_per_s": peak,
                "prompt_share_of_peak": speed * products / peak,
                "tokens_per_s": written,
                "bytes_per_s": bandwidth,
                "share_of_bandwidth": written * read / bandwidth,
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr)
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    return {**medians, "products_of_a_token": products, "bytes_of_a_token": read}


def work(weights: Mapping[str, Any], config: Any) -> tuple[int, int]:
    """Multiply-adds of a prompt's token, and bytes of weights that a written token reads."""
    chosen = getattr(config, "num_experts_per_tok", None) or 1
    last = f"layers.{config.num_hidden_layers - 1}."
    products = read = 0
    for name, weight in weights.items():
        if isinstance(weight, PackedExperts):
            some = min(chosen, weight.num_experts)
            if not name.startswith(last):
                products += some * 3 * weight.hidden_size * weight.inner_size
            read += weight.data.numel() * some // weight.num_experts
        elif isinstance(weight, PackedMatrix) and name != "words":
            read += weight.data.numel()
            if name not in ("head", f"{last}out"):  # which only the last token of a prompt has
                products += weight.outputs * weight.inputs
    return products, read


def beside(
    engine: Engine,
    rival: LlamaCpp | IkLlamaCpp,
    prompts: Sequence[list[int]],
    texts: int,
    rounds: int,
) -> dict[str, float]:
    """Texts that come at once, ours and llama.cpp's in turns; ratios are our speed by theirs."""
    turns: list[tuple[str, Callable[[Sequence[list[int]]], Run]]] = [
        ("ours", lambda some: write(engine, some, TOKENS)),
        ("theirs", lambda some: Run(*rival.run(some, TOKENS))),
    ]
    runs: dict[str, list[Run]] = {name: [] for name, _ in turns}
    for number in range(max(2, rounds if texts == 1 else rounds // 3)):
        # what was read before would not be read again
        fresh = [[*_digits(time.time_ns()), *prompt][:PROMPT] for prompt in prompts[:texts]]
        for name, run in turns if number % 2 else reversed(turns):
            runs[name].append(run(fresh))
    found: dict[str, float] = {}
    for name, some in runs.items():
        found[f"{name}: tokens_per_s"] = statistics.median(run.tokens_per_s for run in some)
        if texts == 1:
            found[f"{name}: prompt_tokens_per_s"] = statistics.median(
                PROMPT / run.first[0] for run in some
            )
            found[f"{name}: written_tokens_per_s"] = statistics.median(
                (TOKENS - 1) / (run.seconds - run.first[0]) for run in some
            )
    for key in [key.split(": ")[1] for key in found if key.startswith("ours")]:
        found[f"ratio: {key}"] = found[f"ours: {key}"] / found[f"theirs: {key}"]
    print(json.dumps(found), file=sys.stderr)
    return found


def _digits(number: int) -> list[int]:
    """Tokens that no prompt began with before."""
    return [1000 + int(digit) for digit in str(number)[::-1]]


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
