"""Asks the system for the parts of files that a search is about to read.

A search reads some hundred scattered places of files that may not be in memory. Waiting for the
disk at each takes that many times as long as asking for all of them first, which lets it read them
together. The calls take a tenth of a warm search, so they are made only while searches wait.
"""

from __future__ import annotations

import ctypes
import functools
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from mmap import MADV_WILLNEED, PAGESIZE
from typing import Any

_WHO = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)  # only Linux counts by thread
_AFTER = 64  # searches to ask for after one that has waited


class ReadAhead:
    """Whether searches of a segment wait for the disk; begins as if the last one had."""

    def __init__(self) -> None:
        self._left = _AFTER

    @property
    def is_wanted(self) -> bool:
        """Whether to ask for pages before the next search."""
        return self._left > 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Run a search, and note whether it has waited."""
        before = _waits()
        yield
        # searches of several threads race here: the count need not be exact
        self._left = _AFTER if _waits() > before else max(0, self._left - 1)


def ask_for(places: Iterable[tuple[int, int]]) -> None:
    """Ask for the pages of places in mapped files: addresses and lengths in bytes."""
    advise = _advise()
    for address, length in places:
        start = address - address % PAGESIZE
        advise(start, length + address - start, MADV_WILLNEED)  # an error costs only time


def _waits() -> int:
    """Faults of this thread that had to read from a disk, and blocks that it has read."""
    usage = resource.getrusage(_WHO)
    return usage.ru_majflt + usage.ru_inblock


@functools.cache
def _advise() -> Any:
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return madvise
