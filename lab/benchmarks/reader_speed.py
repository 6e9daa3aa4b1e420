"""Cost of a token of a reader and of its dense base, with the same engine and format."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from generation_runs import write
from reader_figures import Figure

from expertrag.llm.adapters.bundle import load_bundle
from expertrag.llm.adapters.served import ServedAdapters
from expertrag.llm.adapters.serving import load_adapters
from expertrag.llm.convert.dense import load_dense
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import lower
from expertrag.llm.load.loading import model_files, quiet
from expertrag_index.types import Progress
from expertrag_kernels import Format
from expertrag_lab.metrics.types import Estimate

ROUNDS = 9
TEXTS, TOKENS = 8, 48
_CACHE_BYTES = 256 << 20
_CONTEXT_TOKENS = 2048


def speed(
    base: str, reader: Path, prompts: Sequence[list[int]], report: Progress, rounds: int = ROUNDS
) -> list[Figure]:
    """Generate equally many tokens with both, in bfloat16, without prompt lookup or prefix caching.

    A ratio is the median over the rounds, with minimum and maximum.
    """
    with quiet(), torch.no_grad():
        dense = load_dense(base, dtype=torch.bfloat16).model
        bundle = model_files(str(reader)).reader
        assert bundle is not None, "it was attached"
        adapters = load_adapters(bundle)
        engines = {"dense": _engine(dense), "reader": _engine(dense, adapters)}
    experts = range(len(adapters.names))
    some = list(prompts[:TEXTS])
    ways: dict[str, tuple[list[list[int]], Sequence[int]]] = {
        "one text": (some[:1], experts[:1]),
        f"{TEXTS} texts of one expert": (some, experts[:1]),
        f"{TEXTS} texts of all experts": (some, experts),
    }
    parameters = _millions(dense.parameters())
    updates = _millions(load_bundle(bundle).weights.values())
    figures = [Figure("parameters, millions", _one(parameters + updates), before=_one(parameters))]
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
            chosen = experts if name == "reader" else (-1,)
            run = write(engines[name], texts, TOKENS, experts=chosen)
            speeds[name].append(run.tokens_per_s)
        report(f"speed: {len(texts)} texts", done, rounds)
    return {name: some[1:] for name, some in speeds.items()}


def _figures(name: str, speeds: dict[str, list[float]]) -> list[Figure]:
    dense, reader = speeds["dense"], speeds["reader"]
    ratios = [after / before for before, after in zip(dense, reader, strict=True)]
    return [
        Figure(f"{name}: tokens/s", _spread(reader), before=_spread(dense)),
        Figure(f"{name}: reader by dense", _spread(ratios)).near_one(0.05),
    ]


def _spread(values: Sequence[float]) -> Estimate:
    return Estimate(statistics.median(values), min(values), max(values), len(values))


def _one(value: float) -> Estimate:
    return Estimate(value, value, value, 1)


def _engine(model: Any, adapters: ServedAdapters | None = None) -> Engine:
    lowered = lower(
        model,
        Format.BF16,
        cache_bytes=_CACHE_BYTES,
        context_tokens=_CONTEXT_TOKENS,
        adapters=adapters,
    )
    return Engine(lowered.decoder, lowered.expert_updates, speculate=False, prefix_caching=False)


def _millions(weights: Iterable[torch.Tensor]) -> float:
    return sum(weight.numel() for weight in weights) / 1e6
