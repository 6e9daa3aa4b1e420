"""Experts in MXFP4 beside the same weights in our other formats, in one process.

    python lab/benchmarks/bench_mxfp4.py --data DATA --json FILE

A layer of gpt-oss-20b's shape, with Gaussian weights that were rounded to MXFP4: milliseconds, and
the error against float32 with the same weights, which is the rounding of activations, and in int8
and int4 that of weights again. All formats run in turn, with the same routing; the fastest round of
each counts, because other work may disturb the others. Then the perplexity of the small default
model, whose experts are rounded to MXFP4 first, by the format in which they run.
"""

from __future__ import annotations

import copy
import functools
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import results_file
import torch
from bench_kernels import Shape, error_of, ours
from generation_prompts import windows_of
from generation_runs import perplexity
from kernel_quality import MODEL, WINDOW, load, logits
from kernel_rivals import Rival
from transformers import AutoTokenizer

from expertrag import models
from expertrag_kernels import (
    Format,
    PlainExperts,
    pack,
    pack_model,
    register,
    unpack,
    unpack_model,
)

SHAPE = Shape("gpt-oss-20b", experts=32, hidden=2880, inner=2880, top_k=4, layers=1)
FORMATS = ("mxfp4", "bf16", "int8", "int4")
TOKENS = (1, 8, 64)
PARTS = ("speed", "perplexity")
CODE = (
    *results_file.KERNELS,
    "lab/benchmarks/bench_mxfp4.py",
    "lab/benchmarks/bench_kernels.py",
    "lab/benchmarks/kernel_rivals.py",
    "lab/benchmarks/kernel_quality.py",
    "lab/benchmarks/generation_prompts.py",
    "lab/benchmarks/generation_runs.py",
)


def main() -> None:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--experts", type=int, default=SHAPE.experts)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    for part in given.parts:
        if part == "speed":
            found: Any = list(speeds(given.experts, given.rounds))
        else:
            found = perplexities(given.data, given.windows)
        print(found, flush=True)
        body = {**results_file.read(given.json), part: found}
        results_file.write(given.json, body, CODE, (part,))


def speeds(experts: int, rounds: int) -> Iterator[Mapping[str, Any]]:
    """Yield, for each number of tokens, the milliseconds and the error of each format."""
    shape = Shape(SHAPE.name, experts, SHAPE.hidden, SHAPE.inner, SHAPE.top_k, SHAPE.layers)
    layers = [in_mxfp4(layer) for layer in shape.draw_layers()]
    contestants = list(ours(layers, FORMATS))
    for tokens in TOKENS:
        seconds = fastest(shape, contestants, tokens, rounds)
        row: dict[str, Any] = {"T": tokens}
        for own, spent in zip(contestants, seconds, strict=True):
            error = error_of(shape, layers[0], own, tokens)
            row[own.format] = {"ms": spent * 1e3, "ratio": spent / seconds[0], "error": error}
        yield row


def fastest(
    shape: Shape, contestants: Sequence[Rival], tokens: int, rounds: int
) -> Sequence[float]:
    """Return the seconds of each contestant's fastest round."""
    routing, other = shape.draw_routing(tokens), shape.draw_routing(min(tokens, 16))
    best = [float("inf")] * len(contestants)
    with torch.inference_mode():
        for _ in range(rounds):
            for place in random.sample(range(len(contestants)), len(contestants)):
                (run,) = contestants[place].layers
                run(*other)  # as in bench_kernels: the threads of the one before may still spin
                start = time.perf_counter()
                run(*routing)
                best[place] = min(best[place], time.perf_counter() - start)
    return best


def in_mxfp4(layer: PlainExperts) -> PlainExperts:
    """Round the weights of a layer to MXFP4, in bfloat16, which holds them."""
    rounded = pack(layer, Format.MXFP4)
    for expert in range(layer.num_experts):
        own = unpack(rounded, [expert])
        layer.gate_up[expert], layer.down[expert] = own.gate_up[0], own.down[0]
    return layer


def perplexities(data: Path, count: int) -> Mapping[str, Any]:
    """Return the perplexity of the small model with rounded experts, by format."""
    register()
    tokenizer: Any = AutoTokenizer.from_pretrained(models.ensure(MODEL))
    windows = windows_of(data, tokenizer, count, WINDOW)
    rounded = load(torch.float32, Format.MXFP4)
    unpack_model(rounded)
    found: dict[str, Any] = {"model": MODEL, "tokens": count * (WINDOW - 1)}
    for format, dtype in (("f32", torch.float32), *((name, torch.bfloat16) for name in FORMATS)):
        model = copy.deepcopy(rounded).to(dtype)
        pack_model(model, format)
        own = perplexity(windows, functools.partial(logits, model))
        exact = found.get("f32", {}).get("perplexity", own)
        found[format] = {"perplexity": own, "increase": own / exact - 1}
    return found


if __name__ == "__main__":
    main()
