"""A disk that fills up at any moment of a build, an add or a repair: nothing is lost.

The kernel refuses to let any file grow beyond RLIMIT_FSIZE, which reaches every write of the
store, SQLite's own included, without needing a file system of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_helper import no_file_beyond
from store_helper import CORPUS, HashingEmbedder, build, contents, make_corpus

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import StorageFullError, StoreNotFoundError
from expertrag_index.store.index import Index
from expertrag_index.upkeep.verify import verify

SIZES = [int(size) for size in np.geomspace(100, 1_000_000, 30)]


def test_build(tmp_path: Path) -> None:
    settings = WriterSettings(embed_batch=16, commit_chunks=16)
    full = 0
    for size in SIZES:
        store = tmp_path / str(size)
        try:
            with (
                no_file_beyond(size),
                IndexWriter.open(store, HashingEmbedder(), settings=settings) as writer,
            ):
                writer.build(CORPUS)
        except StorageFullError as error:
            assert "free some space" in str(error)
            full += 1
            with pytest.raises(StoreNotFoundError):
                Index.open(store)
        build(store, HashingEmbedder(), CORPUS, settings=settings)
        assert verify(store).problems == ()
        assert contents(store) == contents(tmp_path / str(SIZES[0]))
    assert 15 < full < len(SIZES)


def test_add_delete_and_repair(tmp_path: Path, hashing: Any) -> None:
    store = tmp_path / "store"
    old, new = make_corpus(60), make_corpus(60, version=1)
    settings = WriterSettings(embed_batch=16, commit_chunks=16)
    build(store, hashing, old, settings=settings)
    expected = contents(store)
    actions: list[Callable[[IndexWriter], object]] = [
        lambda writer: writer.add(new),
        lambda writer: writer.delete([document.id for document in old[:30]]),
    ]
    full = 0
    for action in actions:
        for size in SIZES:
            before = Index.open(store).generation
            try:
                with (
                    no_file_beyond(size),
                    IndexWriter.open(store, hashing, settings=settings) as writer,
                ):
                    action(writer)
            except StorageFullError:
                full += 1
                assert verify(store).problems == ()
                with Index.open(store) as index:
                    assert (index.generation, index.degradation) == (before, "")
                assert contents(store) == expected
            build(store, hashing, old, settings=settings)
    assert full > 30


def test_repair(tmp_path: Path, hashing: Any) -> None:
    store = tmp_path / "store"
    build(store, hashing, CORPUS)
    for file in (store / "segments").iterdir():
        file.write_bytes(b"")
    for size in SIZES[:15]:
        with no_file_beyond(size), pytest.raises(StorageFullError):
            verify(store, repair=True)
    assert verify(store, repair=True).problems == ()
    with Index.open(store) as index:
        assert index.manifest.documents == 60
