"""Memory of the KV cache on the CPU: what is returned to the system, and what is kept."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from expertrag_kernels.paged_memory import PagedMemory
from expertrag_kernels.steps import CacheShape

pytestmark = pytest.mark.skipif(
    not hasattr(mmap, "MADV_DONTNEED"), reason="the system takes no memory back by parts"
)
SHAPE = CacheShape(layers=3, heads=2, own_width=128, value_width=128)


def _resident() -> int:
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("RssAnon:")
    )
    return int(line.split()[1]) << 10


def test_releases_pages_but_not_their_neighbours() -> None:
    memory = PagedMemory(SHAPE, 256)
    memory.bytes.fill_(7)
    pages = memory.bytes.view(SHAPE.layers, 256, -1)
    before = _resident()
    gone = [*range(100, 200), 5, 7]
    memory.give_back(gone)
    freed = before - _resident()
    assert freed > 0.9 * len(gone) * SHAPE.page_bytes()
    for page in range(256):
        assert bool((pages[:, page] == (0 if page in gone else 7)).all()), page


def test_keeps_memory_that_shares_a_system_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "PAGESIZE", 16384)  # as some systems have them
    small = CacheShape(layers=2, heads=1, own_width=8, value_width=8)
    assert small.page_bytes() // small.layers % mmap.PAGESIZE
    memory = PagedMemory(small, 9)
    memory.bytes.fill_(7)
    pages = memory.bytes.view(small.layers, 9, -1)
    memory.give_back([3, 4, 5])
    for page in (0, 1, 2, 6, 7, 8):
        assert bool((pages[:, page] == 7).all()), page
    assert not pages[:, 4].all()
    memory.give_back([])
