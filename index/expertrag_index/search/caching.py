"""A cache of results of a method."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def cache_method(method: Callable[[str], T], size: int) -> functools._lru_cache_wrapper[T]:
    """Cache a method of one object, without a cycle of references that would keep it alive."""
    weak = weakref.WeakMethod(method)

    @functools.lru_cache(maxsize=size)
    def call(key: str) -> T:
        alive = weak()
        assert alive is not None  # its caller holds it
        return alive(key)

    return call
