"""Parses files in worker processes, a file each, with limits of time and memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import wait

from expertrag_common.worker_process import WorkerProcess
from expertrag_index.loaders import worker
from expertrag_index.loaders.base import SourceFile
from expertrag_index.loaders.parse import storable
from expertrag_index.types import Document, LoadFailure

_CURE = "split it, convert it to another type, or raise the limit with --set files.max_s=SECONDS"
_MOST_WORKERS = 8
OCR_TIMES_AS_LONG = 20
"""A scanned page takes some fifteen seconds of a core."""
_MESSAGES_AHEAD = 64
"""Documents of a file that are kept while earlier files are still being read."""

_idle: list[WorkerProcess] = []
"""Started workers of this process that have no file; starting one takes a third of a second."""


def parse_all(
    files: Iterable[SourceFile | LoadFailure], max_s: float
) -> Iterator[Document | LoadFailure]:
    """Parse files at the same time, and yield their documents and failures in the files' order.

    :param files: files, and failures to pass on in their place.
    :param max_s: seconds that a document may take; a file that takes longer is a failure.
    """
    coming = iter(files)
    readings: deque[_Reading] = deque()
    most = min(_MOST_WORKERS, os.cpu_count() or 1)
    try:
        while True:
            while len(readings) < most and (file := next(coming, None)) is not None:
                readings.append(_Reading(file, max_s))
            if not readings:
                return
            first = readings[0]
            while not (first.items or first.ended):
                _receive(readings)
            while first.items:
                yield first.items.popleft()
            if first.ended:
                readings.popleft()
    finally:
        for reading in readings:
            reading.stop()


def _receive(readings: Iterable[_Reading]) -> None:
    """Wait for messages of the workers, and end those that take too long."""
    waiting = {reading.link: reading for reading in readings if reading.takes_more}
    started = time.monotonic()
    limit = min(reading.seconds_left for reading in waiting.values())
    ready = wait(list(waiting), max(0.0, limit))
    passed = time.monotonic() - started
    for link, reading in waiting.items():
        if link in ready:
            reading.receive()
        else:
            reading.count_wait(passed)


class _Reading:
    """A file that a worker parses."""

    def __init__(self, file: SourceFile | LoadFailure, max_s: float) -> None:
        self.items: deque[Document | LoadFailure] = deque()
        self.ended = isinstance(file, LoadFailure)
        if isinstance(file, LoadFailure):
            self.items.append(file)
            return
        self._source = storable(file.source)
        max_s *= OCR_TIMES_AS_LONG if file.ocr else 1
        self._max_s = self.seconds_left = max_s
        self._worker = _free_worker()
        self.link = self._worker.link
        self.link.send_bytes(worker.encode_file(file, max_s))

    @property
    def takes_more(self) -> bool:
        return not self.ended and len(self.items) < _MESSAGES_AHEAD

    def receive(self) -> None:
        try:
            message = self.link.recv_bytes()
        except (EOFError, OSError):
            self._fail()
            return
        if message == worker.END:
            self.ended = True
            _idle.append(self._worker)
            return
        self.items.append(worker.decode(message))
        self.seconds_left = self._max_s

    def count_wait(self, seconds: float) -> None:
        # The worker has a limit of CPU time; this one ends a read that blocks.
        self.seconds_left -= seconds
        if self.seconds_left <= 0:
            self._fail()

    def _fail(self) -> None:
        limits = f"{self._max_s:g} s or {worker.MEMORY_BYTES >> 30} GiB"
        self.items.append(LoadFailure(self._source, f"needs over {limits} to read", _CURE))
        self.stop()

    def stop(self) -> None:
        if not self.ended:
            self.ended = True
            self._worker.end()


def _free_worker() -> WorkerProcess:
    """Return a worker without a file; those that were killed meanwhile are passed over."""
    with contextlib.suppress(IndexError):
        while True:
            if (idle := _idle.pop()).alive:
                return idle
    return WorkerProcess(worker.__name__)
