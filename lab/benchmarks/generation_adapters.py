"""Texts with low-rank adapters, beside texts without: of one adapter, and each of another.

The experts of the shipped reader (ranks 8 and 2, of feed-forward layers), and random adapters as
peft makes them, of every projection. The base is dense; all texts of a row run together.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import as_file, files
from typing import Any

import torch
from generation_runs import write

from expertrag.llm.adapters.lora import LoraWeights, Projection, target_of
from expertrag.llm.adapters.serving import load_adapters
from expertrag.llm.convert.dense import load_dense
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.lowering import Lowered, lower
from expertrag_kernels import Format

TEXTS = 8
RANKS = (8, 64)
ROUNDS = 7
_READER = "models/bundles/smollm2-reader"
_ATTENTION = tuple(f"self_attn.{name}_proj" for name in "qkvo")
_FEED_FORWARD = tuple(f"mlp.{name}_proj" for name in ("gate", "up", "down"))


def adapters(
    base: str, formats: Sequence[str], prompts: Sequence[list[int]], tokens: int, *, quick: bool
) -> dict[str, Any]:
    """Generate the same number of tokens with each choice of adapters, in turns.

    :returns: per format and choice tokens per second of all texts, prefill included, and its ratio
        to texts without adapters: median, least and most of the rounds.
    """
    with torch.no_grad(), as_file(files("expertrag") / _READER) as reader:
        model = load_dense(base, dtype=torch.bfloat16).model
        loaded = load_adapters(reader)
    return {
        format: _in_turns(
            lower(
                model,
                Format(format),
                cache_bytes=512 << 20,
                context_tokens=2048,
                adapters=loaded,
            ),
            prompts[:TEXTS],
            tokens,
            2 if quick else ROUNDS,
        )
        for format in formats
    }


def _in_turns(
    lowered: Lowered, prompts: Sequence[list[int]], tokens: int, rounds: int
) -> dict[str, dict[str, float]]:
    experts = lowered.expert_updates[:-1]  # without that of the base, which is empty
    choices: dict[str, Sequence[tuple[Any, ...]]] = {
        "none": [()] * TEXTS,
        "reader's, one": experts[:1] * TEXTS,
        "reader's, all": [experts[text % len(experts)] for text in range(TEXTS)],
    }
    for rank in RANKS:
        some = [(lowered.decoder.adapter(_random(lowered, rank, seed)),) for seed in range(TEXTS)]
        choices[f"rank {rank}, one"] = some[:1] * TEXTS
        choices[f"rank {rank}, {TEXTS}"] = some
    speeds: Mapping[str, list[float]] = {name: [] for name in choices}
    updates = [own for choice in choices.values() for own in choice]
    engine = Engine(lowered.decoder, updates, speculate=False, prefix_caching=False)
    for _ in range(rounds + 1):
        for place in random.sample(range(len(choices)), len(choices)):
            own = range(place * TEXTS, (place + 1) * TEXTS)
            run = write(engine, prompts, tokens, experts=own)
            speeds[list(choices)[place]].append(run.tokens_per_s)
    engine.stop()
    return dict(_rows({name: some[1:] for name, some in speeds.items()}))  # after a warm-up


def _rows(speeds: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, dict[str, float]]]:
    for name, some in speeds.items():
        ratios = sorted(own / base for own, base in zip(some, speeds["none"], strict=True))
        row = {
            "tokens_per_s": statistics.median(some),
            "ratio": statistics.median(ratios),
            "least": ratios[0],
            "most": ratios[-1],
        }
        print(f"{name:<20}", {key: round(value, 3) for key, value in row.items()}, file=sys.stderr)
        yield name, row


def _random(lowered: Lowered, rank: int, seed: int) -> Iterator[Any]:
    """Yield small updates of every projection."""
    draw = torch.Generator().manual_seed(seed)
    layers = sum(name.endswith(".dense") for name in lowered.weights)
    for layer in range(layers):
        for module in (*_ATTENTION, *_FEED_FORWARD):
            target = target_of(Projection(layer, module), lowered.weights, lowered.decoder.shape)
            assert target is not None, "every layer has these"
            down, up = (
                torch.randn(size, generator=draw) * 0.01
                for size in ((rank, target.inputs), (target.outputs, rank))
            )
            yield target.update(LoraWeights(down, up))
