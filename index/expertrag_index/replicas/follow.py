"""Keeps a copy in step with a URL, and says how far it is behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from expertrag_index.layout import Layout
from expertrag_index.replicas.marker import check_replaceable, read_marker
from expertrag_index.replicas.published import need_line, parse_line
from expertrag_index.replicas.pull import PullReport, pull
from expertrag_index.replicas.remote import open_remote
from expertrag_index.replicas.repeat import repeat
from expertrag_index.types import Progress, silent


class StoppedError(Exception):
    """A transfer has ended because it was told to; the next one goes on."""


@dataclass(frozen=True, slots=True)
class TransferState:
    """How a transfer of generations does that is repeated.

    ``newest``: the newest generation that is known, at the URL for a reader, in the store for the
    writer. ``in_step_at``: when both were last known to be the same (``time.monotonic``).
    ``failures``: tries that have failed since; ``problem``: why the last one did.
    """

    in_step_at: float
    newest: int = 0
    failures: int = 0
    problem: str = ""


class Follower:
    """Pulls what is published at a URL, until it is told to stop."""

    def __init__(
        self,
        url: str,
        store: Path,
        stop: threading.Event,
        *,
        every_s: float = 1.0,
        pulled: Callable[[PullReport], None] = lambda _: None,
        failed: Callable[[Exception, float], None] = lambda _, __: None,
        progress: Progress = silent,
    ) -> None:
        """Check the URL and the path.

        :param stop: ends it, also in the middle of a pull.
        :param every_s: seconds between two looks at the URL.
        :param pulled: told of every copy that is in place.
        :param failed: told of an error, and the seconds until the next try.
        :raises RemoteUnreachableError: there is no such kind of URL.
        :raises IndexStoreError: something else than a copy is at ``store``.
        """
        check_replaceable(store)
        self._remote = open_remote(url)
        self._url, self._layout = url, Layout(Path(store))
        self._stop, self._every_s = stop, every_s
        self._pulled, self._failed, self._progress = pulled, failed, progress
        self._state = TransferState(time.monotonic())

    @property
    def shown(self) -> str:
        """The URL without credentials."""
        return self._remote.shown

    @property
    def state(self) -> TransferState:
        """How it does."""
        return self._state

    def run(self) -> None:
        """Pull until it is told to stop; what fails is tried again."""
        repeat(self.step, self._stop, self._every_s, self._fail)

    def run_once(self) -> bool:
        """Pull until there is a copy; return whether there is one."""
        once = threading.Event()

        def step() -> None:
            self.step()
            once.set()

        repeat(step, _Either(self._stop, once), self._every_s, self._fail)
        return once.is_set()

    def step(self) -> None:
        """Pull if there is something newer.

        :raises IndexStoreError: it failed; the copy is what it was.
        """
        line = need_line(self._remote)
        newest, _ = parse_line(self._remote, line)
        self._state = replace(self._state, newest=newest)
        marker = read_marker(self._layout)
        if marker is None or marker.line != line:
            report = pull(self._url, self._layout.root, progress=self._interruptible)
            self._state = replace(self._state, newest=max(newest, report.generation))
            self._pulled(report)
        self._state = TransferState(time.monotonic(), self._state.newest)

    def _interruptible(self, stage: str, done: int, total: int) -> None:
        if self._stop.is_set():
            raise StoppedError
        self._progress(stage, done, total)

    def _fail(self, error: Exception, wait_s: float) -> None:
        state = self._state
        self._state = replace(state, failures=state.failures + 1, problem=str(error))
        self._failed(error, wait_s)


class _Either(threading.Event):
    """Is set when one of two events is."""

    def __init__(self, stop: threading.Event, done: threading.Event) -> None:
        super().__init__()
        self._stop, self._done = stop, done

    def is_set(self) -> bool:
        return self._stop.is_set() or self._done.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._done.is_set() or self._stop.wait(timeout)
