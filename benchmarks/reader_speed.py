"""Cost of a token in the merged mixture and in the dense base, with the same engine and format."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from generation_runs import write
from reader_figures import Figure

from expertrag.llm.convert.dense import load_dense
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import lower
from expertrag.llm.load.loading import model_files, quiet
from expertrag.llm.load.source import ModelSource
from expertrag.metrics.types import Estimate
from expertrag_index.types import Progress
from expertrag_kernels import Format

ROUNDS = 9
TEXTS, TOKENS = 8, 48
_CACHE_BYTES = 256 << 20
_CONTEXT_TOKENS = 2048


def speed(
    base: str, merged: Path, prompts: Sequence[list[int]], report: Progress, rounds: int = ROUNDS
) -> list[Figure]:
    """Generate equally many tokens with both, in bfloat16, without prompt lookup or prefix caching.

    A ratio is the median over the rounds, with minimum and maximum.
    """
    with quiet(), torch.no_grad():
        dense = load_dense(base, dtype=torch.bfloat16).model
        mixture: Any = ModelSource(model_files(str(merged))).whole(str(merged), torch.bfloat16)
        engines = {"dense": _engine(dense), "mixture": _engine(mixture)}
    experts = range(mixture.config.num_local_experts)
    some = list(prompts[:TEXTS])
    ways: dict[str, tuple[list[list[int]], Sequence[int]]] = {
        "one text": (some[:1], experts[:1]),
        f"{TEXTS} texts of one expert": (some, experts[:1]),
        f"{TEXTS} texts of all experts": (some, experts),
    }
    figures = [
        Figure("parameters a token, millions", _one(_active(mixture)), before=_one(_active(dense)))
    ]
    for name, (texts, chosen) in ways.items():
        speeds = _in_turn(engines, texts, chosen, rounds, report)
        figures += _figures(name, speeds)
    for engine in engines.values():
        engine.stop()
    return figures


def _in_turn(
    engines: dict[str, Engine],
    texts: list[list[int]],
    experts: Sequence[int],
    rounds: int,
    report: Progress,
) -> dict[str, list[float]]:
    """Measure tokens per second by round, including prefill, after a warm-up round."""
    speeds: dict[str, list[float]] = {name: [] for name in engines}
    for done in range(rounds + 1):
        for name in random.sample(list(engines), len(engines)):
            chosen = experts if name == "mixture" else (-1,)
            run = write(engines[name], texts, TOKENS, experts=chosen)
            speeds[name].append(run.tokens_per_s)
        report(f"speed: {len(texts)} texts", done, rounds)
    return {name: some[1:] for name, some in speeds.items()}


def _figures(name: str, speeds: dict[str, list[float]]) -> list[Figure]:
    dense, mixture = speeds["dense"], speeds["mixture"]
    ratios = [after / before for before, after in zip(dense, mixture, strict=True)]
    ratio = Figure(f"{name}: mixture by dense", _spread(ratios))
    return [
        Figure(f"{name}: tokens/s", _spread(mixture), before=_spread(dense)),
        ratio if "all" in name else ratio.near_one(0.05),
    ]


def _spread(values: Sequence[float]) -> Estimate:
    return Estimate(statistics.median(values), min(values), max(values), len(values))


def _one(value: float) -> Estimate:
    return Estimate(value, value, value, 1)


def _engine(model: Any) -> Engine:
    lowered = lower(model, Format.BF16, cache_bytes=_CACHE_BYTES, context_tokens=_CONTEXT_TOKENS)
    return Engine(lowered.decoder, speculate=False, prefix_caching=False)


def _active(model: Any) -> float:
    """Millions of active parameters per token, including the router and all embeddings."""
    experts = getattr(model.config, "num_local_experts", 1)
    chosen = getattr(model.config, "num_experts_per_tok", 1)
    sizes = {name: value.numel() for name, value in model.named_parameters()}
    apart = sum(size for name, size in sizes.items() if ".experts." in name)
    return float(sum(sizes.values()) - apart * (1 - chosen / experts)) / 1e6
