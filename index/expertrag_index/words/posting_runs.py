"""Has a process build the postings of a long run while its chunks are still being stored.

It saves time where there is a core to spare. The result is the same, byte for byte. If the process
is lost, the postings are built afterwards from the database, as in a short run.
"""

from __future__ import annotations

import json

import numpy as np

from expertrag_common.worker_process import WorkerProcess
from expertrag_index.errors import StoreCorruptError
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import FileEntry
from expertrag_index.types import KeyArray
from expertrag_index.words.posting_worker import END

FEWEST = 16_384
"""Chunks of a run for which a process is started: they take a second, and its start a third."""


class PostingRuns:
    """The postings of the chunks that one run stores."""

    def __init__(self, layout: Layout, fewest: int = FEWEST) -> None:
        """Collect keys; start a process once there are ``fewest``."""
        self._layout = layout
        self._fewest = fewest
        self._keys: list[range] = []
        self._worker: WorkerProcess | None = None
        self._lost = self._ended = False

    def add(self, first: int, last: int) -> None:
        """Add chunks that have been committed, with the keys from ``first`` to ``last``."""
        self._keys.append(range(first, last + 1))
        if self._lost:
            return
        try:
            if self._worker:
                self._send(json.dumps([first, last]).encode())
            elif sum(map(len, self._keys)) >= self._fewest:
                self._start()
        except OSError:
            self.close()

    def end(self) -> None:
        """Let the process write the segment: no chunks follow."""
        if self._worker and not self._ended:
            try:
                self._send(END)
            except OSError:
                self.close()
        self._ended = True

    def segment_of(self, keys: KeyArray) -> FileEntry | None:
        """Return the segment that holds exactly ``keys``; None where it must be built."""
        self.end()
        known = np.concatenate([np.empty(0, np.int64), *map(np.array, self._keys)])
        if self._worker is None or not np.array_equal(known, keys):
            return None
        try:
            entry = FileEntry(**json.loads(self._worker.link.recv_bytes()))
            held = PostingSegment.open(self._layout.segments / entry.file).keys
        except (EOFError, OSError, StoreCorruptError):
            return None
        finally:
            self.close()
        return entry if np.array_equal(held, keys) else None

    def close(self) -> None:
        """End the process; what it has left is deleted with other debris."""
        self._lost = True
        if self._worker:
            self._worker.end()
            self._worker = None

    def _start(self) -> None:
        self._worker = WorkerProcess("expertrag_index.words.posting_worker")
        paths = (self._layout.database.resolve(), self._layout.segments.resolve())
        self._send(json.dumps([str(path) for path in paths]).encode())
        for keys in self._keys:
            self._send(json.dumps([keys[0], keys[-1]]).encode())

    def _send(self, message: bytes) -> None:
        assert self._worker is not None
        self._worker.link.send_bytes(message)
