"""Batches whose sequences share experts: the possible gain from reordering waiting sequences.

A batch reads each expert that any of its rows needs once, so order matters only if more sequences
wait than fit a batch. The experts of the default model are equal, so only the weights read differ:

- ``as they come``: 8 at a time, each token by its router, so that nearly all experts are read
- ``sharing``: 8 at a time, all tokens by one expert: the upper bound for any order
- ``together``: all sequences in one batch, as they come
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
_PROMPT_TOKENS = 64  # short, because prefill is bound by compute, not by reading weights


def expert_sharing(
    model: Any, engine: Callable[[], Engine], prompts: Sequence[list[int]], tokens: int
) -> dict[str, Any]:
    """Generate the same sequences in batches that share experts, and in batches that do not."""
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
    """Let the routers send every token to the first expert; all experts are equal."""
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
