"""Has a process sort the postings of a long run while its chunks are still being stored.

It saves time where there is a core to spare. The result is the same, byte for byte; if the process
is lost, the postings are built afterwards from the database, as those of a short run.
"""

from __future__ import annotations

import json

import numpy as np

from expertrag_index.errors import StoreCorruptError
from expertrag_index.layout import Layout
from expertrag_index.posting_worker import END
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.types import KeyArray
from expertrag_index.worker_process import WorkerProcess

FEWEST = 16_384
"""Chunks of a run for which a process is started: they take a second, and its start a third."""


class PostingRuns:
    """The postings of the chunks that one run stores, sorted in parts."""

    def __init__(self, layout: Layout, fewest: int = FEWEST) -> None:
        """Collect keys; start a process once there are ``fewest``."""
        self._layout = layout
        self._fewest = fewest
        self._keys: list[KeyArray] = []
        self._worker: WorkerProcess | None = None
        self._lost = False

    def add(self, first: int, last: int) -> None:
        """Add chunks that have been committed, with the keys from ``first`` to ``last``."""
        self._keys.append(np.arange(first, last + 1))
        if self._lost:
            return
        try:
            if self._worker:
                self._send(json.dumps([first, last]).encode())
            elif sum(map(len, self._keys)) >= self._fewest:
                self._start()
        except OSError:
            self.close()

    def segments_of(self, keys: KeyArray) -> list[PostingSegment]:
        """Return segments to merge that hold exactly ``keys``; none where they must be built."""
        known = np.concatenate([np.empty(0, np.int64), *self._keys])
        if self._worker is None or not np.array_equal(known, keys):
            return []
        try:
            self._send(END)
            names = json.loads(self._worker.link.recv_bytes())
            paths = [self._layout.segments / name for name in names]
            found = [PostingSegment.open(path) for path in paths]
            for path in paths:  # each file ends with its mapping
                path.unlink()
        except (EOFError, OSError, StoreCorruptError):
            return []
        finally:
            self.close()
        held = np.concatenate([segment.keys for segment in found])
        return found if np.array_equal(held, keys) else []

    def close(self) -> None:
        """End the process; what it has left is deleted with other debris."""
        self._lost = True
        if self._worker:
            self._worker.end()
            self._worker = None

    def _start(self) -> None:
        self._worker = WorkerProcess("expertrag_index.posting_worker")
        paths = (self._layout.database.resolve(), self._layout.segments.resolve())
        self._send(json.dumps([str(path) for path in paths]).encode())
        for keys in self._keys:
            self._send(json.dumps([int(keys[0]), int(keys[-1])]).encode())

    def _send(self, message: bytes) -> None:
        assert self._worker is not None
        self._worker.link.send_bytes(message)
