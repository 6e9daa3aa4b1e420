"""Memory of a server."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from expertrag.runtime import memory


class Node:
    """Part of a reference cycle."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    """Let the garbage collector see everything again."""
    yield
    gc.unfreeze()


def test_what_is_loaded_is_left_out_of_garbage_collection() -> None:
    with memory.loading():
        kept = [Node() for _ in range(1_000)]
    assert gc.get_freeze_count() >= len(kept)
    assert len(gc.get_objects()) < len(kept)  # what a full collection goes through


def test_garbage_of_loading_is_freed() -> None:
    with memory.loading():
        node = Node()
        freed = weakref.ref(node)
        del node
    assert freed() is None


def test_garbage_is_collected_again_when_loading_fails() -> None:
    with pytest.raises(OSError), memory.loading():
        raise OSError
    assert gc.isenabled()
