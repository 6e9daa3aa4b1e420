"""Batches whose texts share experts: what the best order of waiting texts could gain.

A batch reads each expert that some of its rows need once, whoever needs it, so order matters only
where more texts wait than are written at a time. Of equal experts, which the default model has, the
weights read are all that differs:

- ``as they come``: 8 at a time, each token by its router, so that nearly all experts are read
- ``sharing``: 8 at a time, all tokens by one expert, which no order of texts could better
- ``together``: all texts in one batch, as they come
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from generation_runs import write

from expertrag.llm.engine.engine import Engine

AT_A_TIME = 8
ROUNDS = 3
_PROMPT_TOKENS = 64  # short, as reading them is bound by products and not by weights


def expert_sharing(
    model: Any, engine: Callable[[], Engine], prompts: Sequence[list[int]], tokens: int
) -> dict[str, Any]:
    """Write the same texts in batches that share experts, and that do not."""
    own = engine()
    with _one_expert(model):
        shared = engine()
    short = [prompt[:_PROMPT_TOKENS] for prompt in prompts]
    batches = [short[at : at + AT_A_TIME] for at in range(0, len(short), AT_A_TIME)]
    ways = {
        "as they come": (own, batches),
        "sharing": (shared, batches),
        "together": (own, [short]),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name in random.sample(list(ways), len(ways)):
            writer, parts = ways[name]
            seconds = sum(write(writer, part, tokens).seconds for part in parts)
            speeds[name].append(len(short) * tokens / seconds)
    found: dict[str, Any] = {name: statistics.median(some) for name, some in speeds.items()}
    print(found, file=sys.stderr)
    return {"texts": len(short), "at_a_time": AT_A_TIME, "tokens_per_s": found}


@contextmanager
def _one_expert(model: Any) -> Iterator[None]:
    """Let routers of equal experts send every token to the first."""
    gates = [layer.mlp.gate for layer in model.model.layers]
    weights = [gate.weight.detach().clone() for gate in gates]
    with torch.no_grad():
        for gate in gates:
            gate.weight.zero_()
        try:
            yield
        finally:
            for gate, weight in zip(gates, weights, strict=True):
                gate.weight.copy_(weight)
