"""What a write brings up to date by its changes is what reading everything gives.

Live chunks, the description of the documents, and the seal: each is compared after random changes
with the same computed from all rows.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from store_helper import ExpertEmbedder, HashingEmbedder, make_corpus, make_mixed_corpus

from expertrag_index.build.description import describe_generation
from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.store.index import Index
from expertrag_index.store.live import NO_CHUNKS, LiveChunks, all_keys, live_partitions
from expertrag_index.store.schema import connect_reader, read_meta
from expertrag_index.store.seal import check_seal, read_sums, rows_where
from expertrag_index.types import Document
from expertrag_index.upkeep.compact import compact
from expertrag_index.upkeep.verify import verify

SETTINGS = WriterSettings(small=4, flat_limit=60)


def change(path: Path, rng: random.Random, embedder: HashingEmbedder, step: int) -> None:
    """Add, replace or delete a few documents, or compact the store."""
    made = make_mixed_corpus(30) if embedder.experts else make_corpus(30, version=step)
    value: int | str = 1 if rng.random() < 0.5 else "a"
    extra = [Document(f"x{step}", "Words of an island.", metadata={"kind": value})]
    kind = rng.choice(["add", "add", "delete", "compact"])
    if kind == "compact":
        compact(path, settings=SETTINGS)
        return
    with IndexWriter.open(path, embedder, settings=SETTINGS) as writer:
        if kind == "add":
            writer.add([*rng.sample(made, 4), *extra])
        else:
            writer.delete([f"x{rng.randrange(step + 1)}", rng.choice(made).id])


@pytest.mark.parametrize("embedder", [HashingEmbedder(), ExpertEmbedder()])
def test_random_changes(tmp_path: Path, embedder: HashingEmbedder) -> None:
    rng, known = random.Random(5), NO_CHUNKS
    documents = make_mixed_corpus(20) if embedder.experts else make_corpus(20)
    with IndexWriter.open(tmp_path, embedder, settings=SETTINGS) as writer:
        writer.build(documents)
    for step in range(14):
        change(tmp_path, rng, embedder, step)
        with Index.open(tmp_path) as index, closing(connect_reader(tmp_path / "store.db")) as db:
            manifest, number = index.manifest, index.generation
            every = live_partitions(db, number)
            quick = live_partitions(db, number, known)
            assert quick.keys() == every.keys()
            assert all(np.array_equal(quick[expert], every[expert]) for expert in every)
            known = LiveChunks(number, every)
            corpus = describe_generation(db, number)
            assert manifest.corpus_hash == f"{corpus.corpus:064x}"
            assert manifest.documents == corpus.documents
            assert (manifest.domains, manifest.field_counts) == (corpus.domains, corpus.fields)
            check_seal(db, required=True)
            staged = read_meta(db).staged
            assert read_sums(db) == rows_where(db, "added_in <= ?", (staged,))
    assert verify(tmp_path).problems == ()


def test_chunks_that_were_dropped_since_are_noticed(tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    with IndexWriter.open(tmp_path, embedder) as writer:
        writer.build(make_corpus(3))
    with Index.open(tmp_path) as index:
        known = index.open_parts.chunks
    for number in range(3):  # each drops the rows of the generation before the last
        with IndexWriter.open(tmp_path, embedder) as writer:
            writer.delete([f"doc{number}"])
            writer.add([Document(f"new{number}", "Words.")])
    with Index.open(tmp_path) as index, closing(connect_reader(tmp_path / "store.db")) as db:
        found = live_partitions(db, index.generation, known)
        assert all_keys(found).tolist() == all_keys(live_partitions(db, index.generation)).tolist()


def test_each_change_of_a_version_is_noticed(tmp_path: Path) -> None:
    """Also those that a sum of the versions alone would miss: two rows that change places."""
    with IndexWriter.open(tmp_path, HashingEmbedder()) as writer:
        writer.build(make_corpus(6))
        writer.delete(["doc3"])
    swap = """UPDATE chunks SET removed_in = CASE key WHEN 1 THEN 2 ELSE 1 << 62 END
        WHERE key IN (1, (SELECT min(key) FROM chunks WHERE removed_in = 2))"""
    for statement in (
        swap,
        "UPDATE chunks SET removed_in = 2 WHERE key = 1",
        "UPDATE chunks SET added_in = 0 WHERE key = 1",
        "UPDATE chunks SET document = 2 WHERE key = 1",
        "UPDATE chunks SET removed_in = 'never' WHERE key = 1",
        "DELETE FROM chunks WHERE key = 1",
        "UPDATE documents SET removed_in = 2 WHERE row = 1",
        "UPDATE documents SET row = 99 WHERE row = 1",
    ):
        with closing(sqlite3.connect(tmp_path / "store.db")) as db:
            db.execute("BEGIN")
            check_seal(db)
            assert db.execute(statement).rowcount
            with pytest.raises(Exception, match="do not match their seal"):
                check_seal(db)
            db.rollback()
