"""Keeps a copy in step with a URL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from expertrag_index.replicas.marker import check_replaceable, read_marker
from expertrag_index.replicas.published import need_line, parse_line
from expertrag_index.replicas.pull import PullReport, pull
from expertrag_index.replicas.remote import open_remote
from expertrag_index.replicas.repeat import Repeated, Schedule
from expertrag_index.store.layout import Layout


class Follower(Repeated):
    """Pulls what is published at a URL, until it is told to stop."""

    def __init__(
        self,
        url: str,
        store: Path,
        schedule: Schedule,
        *,
        looked: Callable[[PullReport], None],
    ) -> None:
        """Check the URL and the path.

        :param looked: told of every look at the URL that succeeds, with the copy in place.
        :raises RemoteUnreachableError: there is no such kind of URL.
        :raises IndexStoreError: something else than a copy is at ``store``.
        """
        super().__init__(schedule)
        check_replaceable(store)
        self._remote = open_remote(url)
        self._url, self._layout, self._looked = url, Layout(Path(store)), looked

    def step(self) -> None:
        """Pull if there is something newer.

        :raises IndexStoreError: it failed; the copy is what it was.
        """
        line = need_line(self._remote)
        newest, _ = parse_line(self._remote, line)
        self.state = replace(self.state, newest=newest)
        marker = read_marker(self._layout)
        if marker is not None and marker.line == line:
            report = PullReport(newest, False, 0, 0, 0.0)
        else:
            report = pull(self._url, self._layout.root, progress=self.check_stop)
        self.state = replace(self.state, newest=max(newest, report.generation))
        self._looked(report)
