"""Asking for pages of mapped files before a search reads them."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from pathlib import Path

import numpy as np
import pytest
from store_helper import HashingEmbedder, build, make_corpus

from expertrag_index.build.settings import WriterSettings
from expertrag_index.search import read_ahead
from expertrag_index.search.read_ahead import ReadAhead, ask_for
from expertrag_index.store.index import Index

SIZE = 1 << 22


def resident(mapped: mmap.mmap, address: int) -> int:
    """Pages of a mapping that are in memory."""
    pages = (ctypes.c_ubyte * (len(mapped) // mmap.PAGESIZE))()
    ctypes.CDLL(None).mincore(ctypes.c_void_p(address), ctypes.c_size_t(len(mapped)), pages)
    return sum(page & 1 for page in pages)


def test_pages_that_are_asked_for_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    address = np.frombuffer(mapped, np.uint8).ctypes.data
    ask_for([(address + 100, SIZE // 2), (address + SIZE // 2, SIZE // 2)])
    deadline = time.monotonic() + 10
    while resident(mapped, address) < SIZE // mmap.PAGESIZE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_ends_when_searches_no_longer_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = 0
    monkeypatch.setattr(read_ahead, "_waits", lambda: faults)
    state = ReadAhead()
    for _ in range(64):
        assert state.is_wanted
        with state.watching():
            pass
    assert not state.is_wanted
    with state.watching():
        faults += 1
    assert state.is_wanted


@pytest.mark.parametrize(
    ("dimension", "kind", "code_bytes"), [(64, "ivf_sq8", 64), (256, "ivf_rabitq", 40)]
)
def test_a_search_asks_for_the_lists_that_it_probes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dimension: int, kind: str, code_bytes: int
) -> None:
    embedder = HashingEmbedder(dimension)
    build(tmp_path / "store", embedder, make_corpus(120), settings=WriterSettings(flat_limit=50))
    query = embedder.encode_query("checkpoints word3")
    with Index.open(tmp_path / "store") as index:
        (segment,) = index.open_parts.vectors.values()
        assert segment.kind == kind
        places = list(segment._lists(query, segment.nlist))
        held = sum(length for _, length in places)
        assert held == segment.count * (code_bytes + 8)
        first = index.search_dense(query, 5)
        monkeypatch.setattr(ReadAhead, "is_wanted", property(lambda _: False))
        assert index.search_dense(query, 5) == first
