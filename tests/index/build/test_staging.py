"""Long runs: reading, chunking, embedding and storing overlap; little is lost with the process."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from store_helper import CORPUS, HashingEmbedder, build, contents

from expertrag_index.build.seen import SeenDocuments
from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.spool import Spool
from expertrag_index.store.rows import pack_vectors
from expertrag_index.types import Document, MetadataValue
from expertrag_index.upkeep.verify import verify

LONG = "This sentence of seven words is long. " * 1_000
COUNT = 300
"""Documents of 40 KB: more text than a run reads before it embeds, and than waits in memory."""
FEW_CHUNKS = WriterSettings(chunk_tokens=4_000)


def long_documents() -> Iterator[Document]:
    for number in range(COUNT):
        yield Document(f"d{number}", f"Number{number} {LONG}", metadata={"n": number})


class QuickEmbedder(HashingEmbedder):
    """Reads much, costs little, and can be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.max_tokens = 4_000
        self.free = threading.Event()
        self.free.set()
        self.threads: set[int] = set()

    def encode_documents(
        self, texts: Sequence[str], domain: str | None = None
    ) -> NDArray[np.float32]:
        assert self.free.wait(60)
        self.threads.add(threading.get_ident())
        return super().encode_documents([text[:20] for text in texts])


def stored_order(store: Path) -> list[str]:
    with closing(sqlite3.connect(store / "store.db")) as connection:
        rows = connection.execute(
            "SELECT d.id FROM chunks c JOIN documents d ON d.row = c.document ORDER BY c.key"
        )
        return list(dict.fromkeys(row[0] for row in rows))


def test_a_long_run_embeds_while_it_reads(tmp_path: Path) -> None:
    embedder = QuickEmbedder()
    begun = []

    def read() -> Iterator[Document]:
        yield from long_documents()
        begun.append(len(embedder.encoded))

    report = build(tmp_path / "store", embedder, read(), settings=FEW_CHUNKS)
    assert begun[0] > 0
    assert COUNT < report.chunks_embedded == len(set(embedder.encoded)) < report.chunks
    assert threading.get_ident() not in embedder.threads
    assert stored_order(tmp_path / "store") == [document.id for document in long_documents()]
    assert verify(tmp_path / "store").problems == ()


def test_reading_does_not_wait_for_the_embedder(tmp_path: Path) -> None:
    embedder = QuickEmbedder()
    embedder.free.clear()

    def read() -> Iterator[Document]:
        yield from long_documents()
        embedder.free.set()

    stages: list[tuple[str, int, int | None]] = []
    store, quick = tmp_path / "store", tmp_path / "quick"
    watched = {"settings": FEW_CHUNKS, "progress": lambda *call: stages.append(call)}
    build(store, embedder, read(), **watched)
    build(quick, QuickEmbedder(), long_documents(), settings=FEW_CHUNKS)
    assert contents(store) == contents(quick)
    assert stored_order(store) == stored_order(quick)
    names = [name for name, _, _ in stages]
    assert names.index("embed") > max(at for at, name in enumerate(names) if name == "read")
    totals = {total for name, _, total in stages if name == "embed"}
    assert totals == {sum(len(document.text.encode()) for document in long_documents())}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=60), st.integers(1, 40))
def test_the_spool_is_a_queue(steps: list[int | None], most: int) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        spool = Spool(connection, most)
        expected: deque[tuple[Document, bytes]] = deque()
        for number, size in enumerate(steps):
            if size is None:
                if expected:
                    assert spool.pop() == expected.popleft()
            else:
                metadata: dict[str, MetadataValue] = {"tags": ["a", 1.5], "n": number}
                document = Document(str(number), "é" * size, "t", metadata, None, "s", ["x"], [0])
                spool.add(document, bytes([number]))
                expected.append((document, bytes([number])))
            assert bool(spool) == bool(expected)
        while expected:
            assert spool.pop() == expected.popleft()
        with pytest.raises(IndexError):
            spool.pop()


def test_seen_documents_have_their_sources() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        seen = SeenDocuments(connection)
        assert seen.source_of("a") is None
        seen.add("a", "notes.txt")
        seen.add("", "")
        assert (seen.source_of("a"), seen.source_of("")) == ("notes.txt", "")
        assert SeenDocuments(connection).source_of("a") is None  # of the next run


class FailingEmbedder(HashingEmbedder):
    """Fails at its fifth call, or ends its process there."""

    calls = 0
    exits = False

    def encode_documents(
        self, texts: Sequence[str], domain: str | None = None
    ) -> NDArray[np.float32]:
        self.calls += 1
        if self.calls == 5:
            if self.exits:
                os._exit(9)
            raise OSError("no device")
        return super().encode_documents(texts)


def test_vectors_made_before_an_error_are_kept(tmp_path: Path) -> None:
    embedder, again = FailingEmbedder(), HashingEmbedder()
    chosen = WriterSettings(embed_batch=8)
    with pytest.raises(OSError, match="no device"):
        build(tmp_path / "store", embedder, CORPUS, settings=chosen)
    assert len(embedder.encoded) >= 32
    report = build(tmp_path / "store", again, CORPUS, settings=chosen)
    assert len(embedder.encoded) + len(again.encoded) == report.chunks
    assert not set(embedder.encoded) & set(again.encoded)
    assert verify(tmp_path / "store").problems == ()


def killed_build(store: Path) -> None:
    embedder = FailingEmbedder()
    embedder.exits = True
    build(store, embedder, CORPUS, settings=WriterSettings(embed_batch=8, commit_chunks=8))


def test_a_killed_build_loses_the_last_commit_and_two_batches_at_most(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=killed_build, args=(tmp_path / "store",)
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    again = HashingEmbedder()
    report = build(tmp_path / "store", again, CORPUS)
    made = 4 * 8  # before the call that ended the process
    assert report.chunks - made <= len(again.encoded) <= report.chunks - made + 3 * 8
    assert len(again.encoded) < report.chunks


def test_vectors_are_packed_as_they_are_one_by_one() -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 37)).astype(np.float32)
    vectors[3] = 0
    vectors[4, 5] = np.nan
    vectors[5, 6] = np.inf
    vectors[6] *= 1e-8
    vectors[7] *= 1e30
    expected = [
        None if number in (3, 4, 5, 6, 7) else (row / np.linalg.norm(row)).astype("<f2").tobytes()
        for number, row in enumerate(vectors)
    ]
    assert pack_vectors(vectors) == expected
