"""Memory of a server."""

from __future__ import annotations

import gc
import weakref

from expertrag.runtime import memory


class Node:
    """Part of a reference cycle."""

    def __init__(self) -> None:
        self.itself = self


def test_objects_in_use_are_left_out_of_garbage_collection() -> None:
    kept = [Node() for _ in range(1_000)]
    try:
        memory.trim()
        assert gc.get_freeze_count() >= len(kept)
        assert len(gc.get_objects()) < len(kept)  # what a full collection goes through
    finally:
        gc.unfreeze()


def test_garbage_is_freed_first() -> None:
    node = Node()
    freed = weakref.ref(node)
    del node
    try:
        memory.trim()
        assert freed() is None
    finally:
        gc.unfreeze()
