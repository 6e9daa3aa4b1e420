"""Decides which changed files can be read now: those that nobody is writing any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from expertrag_index.sources.base import SourceItem

TRIES = 5
FIRST_RETRY_S = 2.0


@dataclass(slots=True)
class _Pending:
    version: str
    seen_at: float
    tries: int = 0
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """What one look at changed files finds.

    ``ready``: files to read now; ``writing``: sources of those that are not steady yet; ``wait_s``:
    seconds until another is worth a look, None if none is before it changes.
    """

    ready: list[SourceItem]
    writing: list[str]
    wait_s: float | None


class Settling:
    """Keeps track of changed files until they are read.

    A file is steady if its size and time of change stay the same for ``settle_s``. One that cannot
    be read is tried again, later each time, as it may be written with pauses. After ``TRIES`` it is
    given up until it changes.

    :param clock: monotonic seconds; a test can pass its own.
    """

    def __init__(
        self, settle_s: float, clock: Callable[[], float] = time.monotonic, tries: int = TRIES
    ) -> None:
        self._settle_s = settle_s
        self._clock = clock
        self._tries = tries
        self._pending: dict[str, _Pending] = {}

    def look(self, items: Iterable[SourceItem]) -> Readiness:
        """Look at the files that differ from what was read of them."""
        now, wall = self._clock(), time.time()
        before, self._pending = self._pending, {}
        ready: list[SourceItem] = []
        writing: list[str] = []
        waits: list[float] = []
        for item in items:
            state = before.get(item.source)
            if state is None or state.version != item.version:
                # what was last written long ago is steady already
                old = wall - item.changed_at - self._settle_s > 0
                state = _Pending(item.version, now - self._settle_s if old else now)
            self._pending[item.source] = state
            if state.tries >= self._tries:
                continue
            wait = max(state.seen_at + self._settle_s, state.retry_at) - now
            if wait <= 0:
                ready.append(item)
                continue
            waits.append(wait)
            if not state.tries:
                writing.append(item.source)
        return Readiness(ready, writing, min(waits, default=None))

    @property
    def retry_s(self) -> float | None:
        """Seconds until a file that could not be read is tried again; None if there is none."""
        due = [state.retry_at for state in self._pending.values() if 0 < state.tries < self._tries]
        return max(0.0, min(due) - self._clock()) if due else None

    def note_failures(self, sources: Iterable[str]) -> list[str]:
        """Note that files could not be read; return those that are given up."""
        given_up = []
        for name in sources:
            state = self._pending.get(name)
            if state is None:
                continue
            state.tries += 1
            state.retry_at = self._clock() + FIRST_RETRY_S * 2 ** (state.tries - 1)
            if state.tries >= self._tries:
                given_up.append(name)
        return given_up
