"""Postings that a process builds while a long run stores its chunks."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from store_helper import HashingEmbedder, build

from expertrag_common.worker_process import WorkerProcess
from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.types import Document
from expertrag_index.upkeep.verify import verify
from expertrag_index.words import posting_runs
from expertrag_index.words.posting_runs import FEWEST, PostingRuns


@pytest.fixture
def store(tmp_path: Path) -> Layout:
    documents = [Document(f"d{n}", f"Common words and number{n}. " * 30) for n in range(100)]
    build(tmp_path / "store", HashingEmbedder(), documents)
    return Layout(tmp_path / "store")


def names(layout: Layout) -> set[str]:
    return {file.name for file in layout.segments.iterdir()}


def keys_of(layout: Layout) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    with Index.open(layout.root) as index:
        return np.array(sorted(key for key, _ in index.sample_chunks(10_000)), np.int64)


def children() -> list[str]:
    """Return the command lines of the processes that this one has started."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [Path(f"/proc/{pid}/cmdline").read_text() for pid in found]


def test_the_segment_is_that_of_a_build(store: Layout) -> None:
    keys, before = keys_of(store), names(store)
    runs = PostingRuns(store, fewest=50)
    for part in np.array_split(keys, 7):
        runs.add(int(part[0]), int(part[-1]))
    found = runs.segment_of(keys)
    assert found is not None
    assert found.file.endswith(".postings")
    assert PostingSegment.open(store.segments / found.file).count == len(keys) > 100
    assert names(store) == before  # the same name is the same content


def test_no_process_for_a_short_run(store: Layout) -> None:
    keys = keys_of(store)
    runs = PostingRuns(store, fewest=len(keys) + 1)
    runs.add(int(keys[0]), int(keys[-1]))
    assert runs.segment_of(keys) is None


def test_runs_of_other_chunks_are_not_used(store: Layout) -> None:
    keys = keys_of(store)
    runs = PostingRuns(store, fewest=1)
    runs.add(int(keys[0]), int(keys[-2]))
    assert runs.segment_of(keys) is None


@pytest.mark.parametrize("missing", [False, True])
def test_a_lost_process_costs_only_time(store: Layout, missing: bool) -> None:
    keys = keys_of(store)
    runs = PostingRuns(store, fewest=1)
    runs.add(int(keys[0]), int(keys[-1]) + missing)  # a chunk that does not exist ends it, too
    assert runs._worker is not None
    if not missing:
        os.kill(runs._worker.pid, signal.SIGKILL)
    for _ in range(3):
        runs.add(int(keys[-1]) + 1, int(keys[-1]) + 1)
    assert runs.segment_of(np.arange(keys[0], keys[-1] + 2)) is None


def test_a_long_build_uses_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Quick(HashingEmbedder):
        def encode_query(self, text: str, domain: str | None = None) -> np.ndarray:
            vector = np.zeros(self.dimension, np.float32)
            vector[len(text) % self.dimension] = 1
            return vector

    def documents() -> Iterator[Document]:
        for number in range(FEWEST + 600):
            yield Document(f"d{number}", f"Common words number{number}.")

    def start(module: str) -> WorkerProcess:
        started.append(module)
        return WorkerProcess(module)

    started: list[str] = []
    monkeypatch.setattr(posting_runs, "WorkerProcess", start)
    settings = WriterSettings(embed_batch=512)
    with IndexWriter.open(tmp_path / "store", Quick(), settings=settings) as writer:
        assert writer.build(documents()).chunks == FEWEST + 600
    assert verify(tmp_path / "store").problems == ()
    assert started == ["expertrag_index.words.posting_worker"]
    assert not [
        command for command in children() if "expertrag_index.words.posting_worker" in command
    ]
    layout = Layout(tmp_path / "store")
    assert {Path(name).suffix for name in names(layout)} == {".faiss", ".rows", ".postings"}
    with Index.open(layout.root) as index:
        assert [hit.score > 0 for hit in index.search_lexical(f"number{FEWEST}", 5)] == [True]
