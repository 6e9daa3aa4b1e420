"""How close a packed model gets to the machine's limits, and comparison with llama.cpp.

    python lab/benchmarks/generation_limits.py DATA/squad2 --gguf FILE --packed FOLDER \
        --llamacpp FOLDER --json FILE

Prefill is reported as a share of the peak int8 product rate, decode as the share of the memory
bandwidth used to read the weights. Both limits are measured in every round, next to the run that is
compared with them, because other tenants take cores and bandwidth: shares are per round, and
medians are reported. Only products of the weights count, so attention and everything else counts as
lost, and only those actually computed: in the last layer, a prompt's tokens need only keys and
values. llama.cpp (llama-cpp-python, built for the machine) runs the same file, in turn and in both
orders, with one sequence and with eight simultaneous ones; ik_llama.cpp (``--ik``) with one.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import results_file
import torch
from generation_llamacpp import IkLlamaCpp, LlamaCpp
from generation_prompts import asked
from generation_runs import Run, Write, write

from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import Lowered, lower
from expertrag.llm.load.loading import PACKED_FILE, ModelFiles, quiet
from expertrag.llm.load.packed_loading import read_format
from expertrag.llm.load.source import ModelSource
from expertrag.llm.network import Limits
from expertrag_kernels import PackedExperts, PackedMatrix, load_packed
from expertrag_kernels.cpu_experts import ISAS, _cpu
from expertrag_kernels.decoder import Decoder

PROMPT, TOKENS = 1180, 48
CACHE_BYTES = 1 << 30
PROBE_BYTES = 256 << 20
CODE = (
    *results_file.ENGINE,
    "lab/benchmarks/generation_limits.py",
    "lab/benchmarks/generation_runs.py",
    "lab/benchmarks/generation_llamacpp.py",
)


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__)
    parser.add_argument("data", type=Path, help="a dataset folder (BEIR layout)")
    parser.add_argument("--packed", type=Path, required=True, help="folder of `llm pack`")
    parser.add_argument("--gguf", type=Path, help="the file it was made from, for llama.cpp")
    parser.add_argument("--llamacpp", type=Path, help="folder with llama-cpp-python")
    parser.add_argument("--ik", type=Path, help="folder with ik-llama-cpp-python")
    parser.add_argument("--texts", type=int, nargs="+", default=(1, 8), help="simultaneous texts")
    parser.add_argument("--rounds", type=int, default=6)
    given = parser.parse_args()
    if ISAS[0] != "avx512bf16":
        parser.error("the peak is that of AVX512-VNNI, which this machine does not have")
    if (given.llamacpp or given.ik) and not given.gguf:
        parser.error("llama.cpp needs --gguf")
    source, lowered, weights = opened(given.packed)
    # without prompt lookup: a step of several rows would not show the speed of reading weights
    engine = Engine(lowered.decoder, threads=torch.get_num_threads(), speculate=False)
    prompts = prompts_of(given.data, source.tokenizer, given.rounds + 8)
    found: dict[str, Any] = {
        "limits": limits(engine, work(weights, source.config), prompts, given.rounds)
    }
    if given.llamacpp:
        for texts in given.texts:
            rival = LlamaCpp(given.llamacpp, given.gguf, texts=texts, context_tokens=1536)
            chosen = prompts[:8]
            found[f"llama.cpp, {texts} texts"] = compared(
                engine, rival, chosen, texts, given.rounds
            )
            rival.stop()
    if given.ik:
        forked = IkLlamaCpp(given.ik, given.gguf, context_tokens=1536)
        found["ik_llama.cpp, 1 text"] = compared(engine, forked, prompts[:1], 1, given.rounds)
        forked.stop()
    engine.stop()
    found["model"] = given.packed.name
    print(json.dumps(found, indent=1))
    results_file.write(given.json, found, CODE)


def opened(folder: Path) -> tuple[ModelSource, Lowered, Mapping[str, Any]]:
    """Load a packed model into the engine, as served."""
    source = ModelSource(ModelFiles(folder))
    packed = load_packed(folder / PACKED_FILE, mapped=True)
    with quiet():
        model = source.outline(source.config.dtype)
    length = min(2048, Limits.of(model, source.tokenizer).context_tokens)
    lowered = lower(
        model,
        read_format(packed),
        cache_bytes=CACHE_BYTES,
        context_tokens=length,
        packed=packed,
        make=Decoder,
    )
    return source, lowered, packed


def prompts_of(data: Path, tokenizer: Any, count: int) -> list[list[int]]:
    """Prompts from a data set's passages, PROMPT tokens each, without common prefixes."""
    found = []
    for number, one in enumerate(asked(data, count)):
        text = f"{number} {one.question}\n" + "\n".join(p.text for p in one.passages) * 4
        found.append(tokenizer(text, verbose=False)["input_ids"][:PROMPT])
    return found


def limits(
    engine: Engine, work: tuple[int, int], prompts: Sequence[list[int]], rounds: int
) -> dict[str, float]:
    """Compare one sequence at a time with the machine's limits; medians of the rounds."""
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
    """Multiply-adds per prompt token, and bytes of weights read per generated token."""
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
            if name not in ("head", f"{last}out"):  # only for the last token of a prompt
                products += weight.outputs * weight.inputs
    return products, read


def compared(
    engine: Engine,
    rival: LlamaCpp | IkLlamaCpp,
    prompts: Sequence[list[int]],
    texts: int,
    rounds: int,
) -> dict[str, float]:
    """Run simultaneous texts, ours and llama.cpp's in turn; ratios are our speed by theirs."""
    turns: list[tuple[str, Write]] = [
        ("ours", functools.partial(write, engine)),
        ("theirs", rival.run),
    ]
    runs: dict[str, list[Run]] = {name: [] for name, _ in turns}
    for number in range(max(2, rounds if texts == 1 else rounds // 3)):
        # otherwise the cached prefix would not be read again
        fresh = [[*_digits(time.time_ns()), *prompt][:PROMPT] for prompt in prompts[:texts]]
        for name, run in turns if number % 2 else reversed(turns):
            runs[name].append(run(fresh, TOKENS))
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
    """Tokens that no earlier prompt starts with."""
    return [1000 + int(digit) for digit in str(number)[::-1]]


if __name__ == "__main__":
    main()
