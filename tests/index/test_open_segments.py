"""A newer generation takes over the segments that are in memory, and only those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from store_helper import HashingEmbedder, build

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import StoreCorruptError
from expertrag_index.store.index import Index
from expertrag_index.types import Document

SETTINGS = WriterSettings(small=10)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    documents = [Document(f"d{i}", f"a{i % 50} b{i % 31} n{i}") for i in range(100)]
    build(tmp_path / "s", HashingEmbedder(), documents, settings=SETTINGS)
    return tmp_path / "s"


def add(store: Path, number: int) -> None:
    with IndexWriter.open(store, HashingEmbedder(), settings=SETTINGS) as writer:
        writer.add([Document(f"new{number}", f"a1 b1 new{number}")])


def test_an_unchanged_segment_is_taken_over(store: Path) -> None:
    with Index.open(store) as first:
        ((large, segment),) = first.open_parts.vectors.items()
        add(store, 1)
        with Index.open(store, reuse=first.open_parts) as second, Index.open(store) as fresh:
            small = next(entry for entry in second.open_parts.vectors if entry != large)
            assert second.open_parts.vectors[large] is segment
            assert small.count == 1
            assert fresh.open_parts.vectors[large] is not segment
            ((words, postings),) = first.open_parts.postings.items()
            assert second.open_parts.postings[words] is postings
            assert fresh.open_parts.postings[words] is not postings
            assert second.search_lexical("a1 b1", 101) == fresh.search_lexical("a1 b1", 101)
            query = HashingEmbedder().encode_query("a1 b1")
            assert second.search_dense(query, 101) == fresh.search_dense(query, 101)
    query = np.ones((1, segment.index.d), np.float32)
    assert segment.index.search(query, 1)[1].shape == (1, 1)  # still valid after both are closed


@pytest.mark.parametrize("kind", ["entry", "rows", "postings"])
@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_a_segment_whose_file_is_gone_is_not_taken_over(
    store: Path, damage: str, kind: str
) -> None:
    with Index.open(store) as first:
        add(store, 1)
        (large,), (words,) = first.open_parts.vectors, first.open_parts.postings
        files = {"entry": large.entry, "rows": large.rows, "postings": words.entry}
        path = store / "segments" / files[kind].file
        if damage == "missing":
            path.unlink()
        else:
            data = path.read_bytes()
            path.unlink()  # what is mapped must not shrink
            path.write_bytes(data[:-1])
        with pytest.raises(StoreCorruptError, match=path.name):
            Index.open(store, reuse=first.open_parts)


def test_a_damaged_new_segment_is_detected(store: Path) -> None:
    with Index.open(store) as first:
        (large,) = first.open_parts.vectors
        add(store, 1)
        with Index.open(store) as second:
            (small,) = set(second.open_parts.vectors) - {large}
        path = store / "segments" / small.entry.file
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)
        with Index.open(store, reuse=first.open_parts) as fallback:
            assert fallback.generation == 1
            assert small.entry.file in fallback.degradation
