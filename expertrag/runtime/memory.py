"""Tune the C allocator: a server's threads share one arena and return freed memory.

By default each thread has its own arena, in which freed blocks stay between used ones. No effect on
C libraries without these calls (musl, macOS).
"""

from __future__ import annotations

import atexit
import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # parameters of mallopt(3)
_ARENAS = 1
_LARGE = 1 << 18  # bytes from which a block is mapped separately, and unmapped when freed


def share() -> None:
    """Let all threads share one arena; call it before starting threads."""
    _call("mallopt", _ARENA_MAX, _ARENAS)
    _call("mallopt", _MMAP_THRESHOLD, _LARGE)


@contextmanager
def loading() -> Iterator[None]:
    """Load models in the block; then return freed memory to the system.

    Loading frees tens of megabytes: parsed files, weights in another data type. It leaves some
    500,000 objects, mostly of imported modules. A full garbage collection that goes through them
    stops all threads for up to half a second, so that later ones leave them out.
    """
    atexit.register(gc.unfreeze)  # some libraries report what is left at exit as a leak
    gc.disable()  # while almost nothing of what is made is garbage
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
        _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    try:
        getattr(ctypes.CDLL(None), name)(*arguments)
    except (OSError, AttributeError, TypeError):  # not in this C library
        return
