"""The C library's memory: a server's threads share one arena, and give back what nobody uses.

Each thread would get an arena of its own, in which freed blocks stay between those in use. What has
no such calls (musl, macOS) is left as it is.
"""

from __future__ import annotations

import ctypes
import gc

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of mallopt(3)
_ARENAS = 1
_LARGE = 1 << 18  # bytes of a block that is mapped by itself, and goes back when it is freed


def share() -> None:
    """Let all threads share one arena; call it before there are threads."""
    _call("mallopt", _ARENA_MAX, _ARENAS)
    _call("mallopt", _MMAP_THRESHOLD, _LARGE)


def trim() -> None:
    """Give freed memory back to the system; takes some milliseconds.

    Loading models leaves tens of megabytes behind: parsed files, weights in another type.
    """
    gc.collect()
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    try:
        getattr(ctypes.CDLL(None), name)(*arguments)
    except (OSError, AttributeError, TypeError):  # not of this C library
        return
