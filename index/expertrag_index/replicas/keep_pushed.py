"""Pushes every generation that is published in a store, by this process or another one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from expertrag_index.replicas.push import KEEP, PushReport, push
from expertrag_index.replicas.remote import open_remote
from expertrag_index.replicas.repeat import Repeated, Schedule
from expertrag_index.store.current import read_current
from expertrag_index.store.layout import Layout


class Pusher(Repeated):
    """Pushes a store to a URL, until it is told to stop. Generations in between may be left out."""

    def __init__(
        self,
        store: Path,
        url: str,
        schedule: Schedule,
        *,
        pushed: Callable[[PushReport], None],
        keep: int = KEEP,
    ) -> None:
        """Check the URL.

        :param pushed: told of every push that succeeds.
        :raises RemoteUnreachableError: there is no such kind of URL.
        """
        super().__init__(schedule)
        open_remote(url)
        self._layout, self._url, self._keep, self._pushed = Layout(Path(store)), url, keep, pushed
        self._seen: tuple[int, int] | None = None
        self._swept = False

    def step(self) -> None:
        """Push if something has been published.

        :raises IndexStoreError: it failed.
        """
        seen = _version(self._layout)
        if seen is not None and seen == self._seen:
            return
        self.state = replace(self.state, newest=read_current(self._layout))
        report = push(
            self._layout.root,
            self._url,
            keep=self._keep,
            sweep=not self._swept,
            progress=self.check_stop,
        )
        self.state = replace(self.state, newest=max(self.state.newest, report.generation))
        self._seen, self._swept = seen, True
        self._pushed(report)


def _version(layout: Layout) -> tuple[int, int] | None:
    try:
        status = os.stat(layout.current)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
