"""The number of CPU cores available to this process."""

from __future__ import annotations

import os

_most: int | None = None


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if _most is not None:
        return _most
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_cores(count: int) -> None:
    """Have this process use ``count`` cores: the others belong to processes beside it."""
    global _most
    _most = count
