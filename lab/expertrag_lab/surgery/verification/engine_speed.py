"""Tokens a second of two models on our engine, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from expertrag.api.types import Sampling
from expertrag.llm.base import Generator, Message
from expertrag_index.types import Progress
from expertrag_lab.metrics.types import Estimate

_PROMPTS = 8
_REPLY = Sampling(max_tokens=32, frequency_penalty=0.0)


@dataclass(frozen=True, slots=True)
class SpeedChange:
    """Tokens a second of both models, and after by before in the same round.

    Each is the median, minimum and maximum over the rounds. A round reads the same prompts with
    both models, one after the other, without cached prefixes.
    """

    before: Estimate
    after: Estimate
    ratio: Estimate


def speed_change(
    before: Generator,
    after: Generator,
    prompts: Sequence[Sequence[Message]],
    rounds: int,
    report: Progress,
) -> dict[str, SpeedChange]:
    """Measure the tokens a second of prompts and of decoding, one sequence at a time.

    Empty if our engine does not run both models, or ``rounds`` is 0. The first round is not
    counted.
    """
    if not rounds or not prompts or before.weights() is None or after.weights() is None:
        return {}
    speeds: dict[str, tuple[list[float], list[float]]] = {}
    for done in range(rounds + 1):
        report("speed", done, rounds + 1)
        order = (0, 1) if done % 2 else (1, 0)  # neither always comes first
        sides = {side: _round((before, after)[side], prompts[:_PROMPTS]) for side in order}
        for task in sides[0].keys() & sides[1].keys() if done else ():
            for side in (0, 1):
                speeds.setdefault(task, ([], []))[side].append(sides[side][task])
    report("speed", rounds + 1, rounds + 1)
    return {task: _change(*speeds[task]) for task in ("prompt", "decode") if task in speeds}


def _round(generator: Generator, prompts: Sequence[Sequence[Message]]) -> dict[str, float]:
    """Return the tokens a second of each task; without ``decode`` if replies are single tokens."""
    generator.reset_prefix_cache()
    read, decoded, reading_s, decoding_s = 0, 0, 0.0, 0.0
    for messages in prompts:
        with closing(generator.begin(messages, _REPLY)) as session:
            started = time.perf_counter()
            session.look()  # prefills, and samples one token
            first = time.perf_counter()
            for _ in session.deltas():
                pass
            ended = time.perf_counter()
            read += session.prompt_tokens
            reading_s += first - started
            if session.completion_tokens > 1:
                decoded += session.completion_tokens - 1
                decoding_s += ended - first
    speeds = {"prompt": read / reading_s}
    return {**speeds, "decode": decoded / decoding_s} if decoded else speeds


def _change(before: list[float], after: list[float]) -> SpeedChange:
    ratios = [new / old for old, new in zip(before, after, strict=True)]
    return SpeedChange(*map(_middle, (before, after, ratios)))


def _middle(values: list[float]) -> Estimate:
    return Estimate(statistics.median(values), min(values), max(values), len(values))
