"""A disk that fills up at any moment of a build, an add or a repair: nothing is lost.

The kernel refuses to let any file grow beyond RLIMIT_FSIZE, which reaches every write of the
store, SQLite's own included, without needing a file system of our own.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expertrag_index.build import IndexWriter
from expertrag_index.errors import StorageFullError, StoreNotFoundError
from expertrag_index.index import Index
from expertrag_index.settings import WriterSettings
from expertrag_index.types import Document
from expertrag_index.verify import verify

SIZES = [int(size) for size in np.geomspace(100, 1_000_000, 30)]


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # Python ignores SIGXFSZ
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_build(
    tmp_path: Path, corpus: list[Document], make_embedder: Any, contents: Callable[[Path], object]
) -> None:
    settings = WriterSettings(embed_batch=16)
    full = 0
    for size in SIZES:
        store = tmp_path / str(size)
        try:
            with (
                no_file_beyond(size),
                IndexWriter.open(store, make_embedder(), settings=settings) as writer,
            ):
                writer.build(corpus)
        except StorageFullError as error:
            assert "free some space" in str(error)
            full += 1
            with pytest.raises(StoreNotFoundError):
                Index.open(store)
        with IndexWriter.open(store, make_embedder(), settings=settings) as writer:
            writer.build(corpus)
        assert verify(store).problems == ()
        assert contents(store) == contents(tmp_path / str(SIZES[0]))
    assert 15 < full < len(SIZES)


def test_add_delete_and_repair(
    tmp_path: Path,
    make_corpus: Callable[..., list[Document]],
    hashing: Any,
    contents: Callable[[Path], object],
) -> None:
    store = tmp_path / "store"
    old, new = make_corpus(60), make_corpus(60, version=1)
    settings = WriterSettings(embed_batch=16)
    with IndexWriter.open(store, hashing, settings=settings) as writer:
        writer.build(old)
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
                    assert (index.generation, index.degraded) == (before, "")
                assert contents(store) == expected
            with IndexWriter.open(store, hashing, settings=settings) as writer:
                writer.build(old)
    assert full > 30


def test_repair(tmp_path: Path, corpus: list[Document], hashing: Any) -> None:
    store = tmp_path / "store"
    with IndexWriter.open(store, hashing) as writer:
        writer.build(corpus)
    for file in (store / "segments").iterdir():
        file.write_bytes(b"")
    for size in SIZES[:15]:
        with no_file_beyond(size), pytest.raises(StorageFullError):
            verify(store, repair=True)
    assert verify(store, repair=True).problems == ()
    with Index.open(store) as index:
        assert index.manifest.documents == 60
