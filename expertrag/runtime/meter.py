"""Measure and trace the stages of a call."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeVar

from expertrag.api.types import Usage
from expertrag.runtime.tracing import TRACER

T = TypeVar("T")


class MeteredSession(Protocol):
    """An object that counts its language-model calls and tokens, such as a session."""

    lm_calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int

    @property
    def expert_counts(self) -> Mapping[str, int]:
        """Counters named as in ``Usage``."""
        ...


class Meter:
    """Seconds by stage and counters of one request; used by one thread at a time."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._counts: Counter[str] = Counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to a stage, and trace it."""
        with stage_span(name), self._measure(name):
            yield

    def stream(self, name: str, items: Iterator[T]) -> Iterator[T]:
        """Yield ``items``, adding the time to produce each to a stage.

        The consumer's time is not counted: a slow reader is not a slow model.
        """
        with stage_span(name):
            while True:
                with self._measure(name):
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item

    def count(self, session: MeteredSession) -> None:
        """Add a session's calls and tokens, whether or not its text is used."""
        self.count_prompt(session)
        self.add(completion_tokens=session.completion_tokens)

    def count_prompt(self, session: MeteredSession) -> None:
        """Add the calls and the prompt of a session that is read for its states, not its text."""
        self.add(
            lm_calls=session.lm_calls,
            prompt_tokens=session.prompt_tokens if session.lm_calls else 0,
            cached_prompt_tokens=session.cached_tokens,
            **session.expert_counts,
        )

    def add(self, **counts: int) -> None:
        """Add to counters named as in ``Usage``."""
        self._counts.update(counts)

    def usage(self) -> Usage:
        """Return the cost so far."""
        return Usage(stage_seconds=dict(self._seconds), **self._counts)

    @contextmanager
    def _measure(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - started


@contextmanager
def stage_span(stage: str) -> Iterator[None]:
    """Trace a stage of the current call.

    The span is not made current, because the block may be left and entered again between the items
    of a generator.
    """
    if TRACER is None:
        yield
        return
    span = TRACER.start_span(stage)
    try:
        yield
    finally:
        span.end()
