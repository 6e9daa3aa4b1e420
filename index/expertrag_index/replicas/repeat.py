"""Repeats a transfer until it is told to stop; failures make it wait longer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from expertrag_index.errors import IndexStoreError

_LONGEST_WAIT_S = 60.0

Failed = Callable[[str, float], None]
"""Is told why a try has failed, and the seconds until the next one."""


class StoppedError(Exception):
    """A transfer has ended because it was told to; the next one goes on."""


@dataclass(frozen=True, slots=True)
class TransferState:
    """How transfers do that are repeated.

    ``newest``: the newest generation that is known, at the URL for a reader, in the store for the
    writer; 0 for none. ``in_step_at``: when both sides were last known to have it, or the start
    (``time.monotonic``). ``failures``: tries that have failed since the last success; ``problem``:
    why the last one did.
    """

    in_step_at: float
    newest: int = 0
    failures: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a transfer is repeated.

    ``stop``: ends it, also in the middle of a transfer. ``every_s``: seconds between two steps;
    after failures twice as many each time, up to a minute. ``failed``: is told of every failure.
    """

    stop: threading.Event
    every_s: float
    failed: Failed


class Repeated:
    """Base class of what runs a step until it is told to stop. ``state`` may be read meanwhile."""

    def __init__(self, schedule: Schedule) -> None:
        """Start the clock."""
        self.state = TransferState(time.monotonic())
        self._stop, self._every_s = schedule.stop, schedule.every_s
        self._failed = schedule.failed

    def run(self, *, once: bool = False) -> bool:
        """Run steps; what fails is tried again.

        :param once: until one has succeeded.
        :returns: whether one has.
        """
        while not self._stop.is_set():
            wait = self._every_s
            try:
                self.step()
                self.state = TransferState(time.monotonic(), self.state.newest)
                if once:
                    return True
            except (KeyboardInterrupt, SystemExit):
                raise
            # each file system raises its own, and a library in Rust may panic
            except BaseException as error:
                if self._stop.is_set():
                    break
                wait = self._fail(error)
            self._stop.wait(wait)
        return False

    def step(self) -> None:
        """Bring both sides into step, and set ``state.newest``."""
        raise NotImplementedError

    def check_stop(self, _stage: str = "", _done: int = 0, _total: int | None = None) -> None:
        """Raise StoppedError if it is to stop; this is the progress of a transfer."""
        if self._stop.is_set():
            raise StoppedError

    def _fail(self, error: BaseException) -> float:
        # other errors may name URLs with credentials
        problem = str(error) if isinstance(error, IndexStoreError) else type(error).__name__
        failures = self.state.failures + 1
        self.state = replace(self.state, failures=failures, problem=problem)
        wait = min(_LONGEST_WAIT_S, self._every_s * 2.0 ** min(failures, 16))
        wait = max(wait, self._every_s) * random.uniform(0.8, 1.2)  # so that readers come apart
        with suppress(Exception):  # a failure to tell of it must not end the tries
            self._failed(problem, wait)
        return wait
