"""Keeps the default store of a server in step with a URL: pulls it from there, or pushes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from expertrag.answer.collections import DEFAULT
from expertrag.api.errors import Cancelled
from expertrag.api.info import ReplicaStatus
from expertrag.config import Config
from expertrag.runtime.error_mapping import translate_errors
from expertrag.serving.core.messages import without_paths
from expertrag.serving.core.metrics import Metrics
from expertrag_index.replicas.follow import Follower
from expertrag_index.replicas.keep_pushed import Pusher
from expertrag_index.replicas.repeat import Repeated, Schedule
from expertrag_index.sources.redact import redact

if TYPE_CHECKING:
    from expertrag.answer.collections import Collections
    from expertrag_index.replicas.pull import PullReport
    from expertrag_index.replicas.push import PushReport

_PUSH_EVERY_S = 0.2  # looks at one file of this machine
_END_S = 5.0  # a transfer that does not end by then is dropped: it may be killed at any moment

_log = structlog.get_logger("expertrag.replica")


class Replication:
    """The transfers of one server, in a thread of their own; none without a URL."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        """Check the URL and the store.

        :raises Unavailable: there is no such kind of URL, or a package for it is missing.
        :raises IndexStoreError: something else than a copy is in the folder of a follower.
        """
        self._metrics = metrics
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._collections: Collections | None = None
        self._store = Path(config.index)
        self.followed = redact(config.replica.follow)
        self._transfers: Repeated | None = None
        self._served = 0
        with translate_errors():
            self._open(config)

    def _open(self, config: Config) -> None:
        if config.replica.follow:
            self._transfers = Follower(
                config.replica.follow,
                self._store,
                Schedule(self._stop, config.replica.every_s, self._failing("pull")),
                looked=self._serve_copy,
            )
        elif config.replica.push:
            self._transfers = Pusher(
                self._store,
                config.replica.push,
                Schedule(self._stop, _PUSH_EVERY_S, self._failing("push")),
                pushed=self._note_push,
                keep=config.replica.keep,
            )
        if self._transfers is not None:
            self._metrics.watch_replica(self.status)

    def fetch(self) -> None:
        """Pull until a follower has a copy to serve, if it has none.

        :raises Cancelled: the server stops.
        """
        if isinstance(self._transfers, Follower) and not self._store.exists():
            _log.info("waiting for the first copy", url=self.followed)
            if not self._transfers.run(once=True):
                raise Cancelled("the server stops before it has a copy of the store")

    def start(self, collections: Collections) -> None:
        """Keep both sides in step from now on."""
        self._collections = collections
        self._served = self._metrics.generation()
        if self._transfers is not None:
            run: Callable[[], object] = self._transfers.run
            # a daemon: the system's calls that hang do not keep the process
            self._thread = threading.Thread(target=run, name="expertrag-replica", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the transfers; one that is running is given up."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_END_S)

    def status(self) -> ReplicaStatus | None:
        """Return how it does; None without a URL."""
        if self._transfers is None:
            return None
        state = self._transfers.state
        follows = isinstance(self._transfers, Follower)
        return ReplicaStatus(
            role="follower" if follows else "writer",
            newest=state.newest,
            seconds_behind=max(0.0, time.monotonic() - state.in_step_at),
            failures=state.failures,
            problem=without_paths(state.problem),
        )

    def _serve_copy(self, report: PullReport) -> None:
        """Serve the copy, unless it is served."""
        if report.changed:
            self._metrics.transfers.labels("pull", "OK").inc()
            _log.info("pulled", generation=report.generation, bytes=report.bytes)
        if self._collections is None or report.generation == self._served:
            return
        with self._collections.keep_open(DEFAULT) as pipeline:
            if pipeline is not None:
                pipeline.reload()
                self._metrics.observe_index(pipeline.stats())
                self._served = report.generation

    def _note_push(self, report: PushReport) -> None:
        self._metrics.transfers.labels("push", "OK").inc()
        _log.info("pushed", generation=report.generation, bytes=report.bytes)

    def _failing(self, what: str) -> Callable[[str, float], None]:
        def note_failure(problem: str, wait_s: float) -> None:
            self._metrics.transfers.labels(what, "FAILED").inc()
            _log.warning(f"{what} failed", error=problem, retry_s=round(wait_s, 1))

        return note_failure
