"""Compaction, and the comparison of a store with its embedder and with exact search."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_helper import (
    CORPUS,
    ExpertEmbedder,
    HashingEmbedder,
    build,
    change_database,
    contents,
    make_corpus,
    make_mixed_corpus,
)

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import StoreCorruptError, StoreLockedError, StoreNotFoundError
from expertrag_index.postings.build import build_postings
from expertrag_index.store.index import Index
from expertrag_index.store.manifest import dumps, loads
from expertrag_index.types import Document
from expertrag_index.upkeep.compact import compact, measure_waste, shrink_log
from expertrag_index.upkeep.deep import deep_check
from expertrag_index.upkeep.verify import verify
from expertrag_index.words.chunk_terms import terms_of

MANY = WriterSettings(small=0, flat_share=1.0, dead_share=1.0)
"""A new segment for each small update."""
EXTRA = Document("extra", "A small update adds one document.")


@pytest.fixture
def store(tmp_path: Path, hashing: HashingEmbedder) -> Path:
    path = tmp_path / "store"
    build(path, hashing, CORPUS, settings=MANY)
    for version in (1, 2, 3):
        with IndexWriter.open(path, hashing, settings=MANY) as writer:
            writer.add(make_corpus(60, version))
    with IndexWriter.open(path, hashing, settings=MANY) as writer:
        writer.add([EXTRA])
    return path


def test_compaction_merges_and_shrinks_and_changes_nothing(
    store: Path, tmp_path: Path, hashing: Any
) -> None:
    before = contents(store)
    build(tmp_path / "fresh", hashing, [*make_corpus(60, 3), EXTRA])
    with Index.open(store) as reader:
        assert len(reader.manifest.segments) == 2
        large = (store / "store.db").stat().st_size
        done = compact(store)
        assert reader.size == 121  # a reader keeps its generation
    assert done.generation == 6
    assert done.bytes_after < done.bytes_before
    assert contents(store) == before
    assert verify(store).problems == ()
    with Index.open(store) as index, Index.open(tmp_path / "fresh") as fresh:
        assert (len(index.manifest.segments), index.degradation) == (1, "")
        found = [
            [(index_.chunks([hit.key])[0].document_id, round(hit.score, 5)) for hit in hits]
            for index_ in (index, fresh)
            for hits in [index_.search_lexical("edition3 number7", 1)]
        ]
        assert found[0] == found[1], "BM25 still counts deleted texts"
        assert index.term_statistics("edition2 edition1")[0].document_frequency == 0
    compact(store)
    assert (store / "store.db").stat().st_size < large
    assert b"edition2" not in (store / "store.db").read_bytes()
    assert contents(store) == before


@pytest.mark.parametrize("damaged", [False, True])
def test_postings_are_those_of_the_live_texts(store: Path, damaged: bool) -> None:
    with Index.open(store) as index:
        entries, live = index.manifest.postings, index._generation.live
        with index._reading() as connection:
            expected = build_postings(terms_of(connection, live), store / "segments")
    assert len(entries) > 1
    if damaged:  # what cannot be merged is built from the texts
        path = store / "segments" / entries[0].entry.file
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    compact(store)
    with Index.open(store) as index:
        assert [entry.entry.sha256 for entry in index.manifest.postings] == [expected.sha256]


def test_waste_is_what_a_compaction_drops(store: Path, hashing: Any) -> None:
    assert measure_waste(store) > 0.1  # the version before the last
    compact(store)
    assert measure_waste(store) == 0
    with IndexWriter.open(store, hashing, settings=MANY) as writer:
        writer.delete([document.id for document in make_corpus(30, 3)])
    assert measure_waste(store) == pytest.approx(60 / 121)  # two chunks each


def test_an_empty_store_has_no_waste(tmp_path: Path, hashing: Any) -> None:
    build(tmp_path / "empty", hashing, [])
    assert measure_waste(tmp_path / "empty") == 0
    with pytest.raises(StoreNotFoundError):
        measure_waste(tmp_path / "none")


def test_the_log_is_emptied_once_no_reader_needs_the_old_state(store: Path) -> None:
    log, database = store / "store.db-wal", store / "store.db"
    large = database.stat().st_size
    with Index.open(store):
        compact(store)
        assert not shrink_log(store)  # at once, and the reader is not disturbed
        assert log.stat().st_size > 0
    assert shrink_log(store)
    with Index.open(store) as reader:
        assert shrink_log(store)
        assert log.stat().st_size == 0
        assert database.stat().st_size < large
        assert reader.size == 121


def test_the_generation_before_a_compaction_remains_its_fallback(store: Path) -> None:
    before = contents(store)
    compact(store)
    shutil.rmtree(store / "generations" / "gen-000006")
    with Index.open(store) as index:
        assert (index.generation, index.size, bool(index.degradation)) == (5, 121, True)
    assert verify(store, repair=True).problems == ()
    assert contents(store) == before


def test_a_store_that_cannot_be_compacted(store: Path, tmp_path: Path, hashing: Any) -> None:
    with pytest.raises(StoreNotFoundError):
        compact(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with IndexWriter.open(store, hashing), pytest.raises(StoreLockedError):
        compact(store)
    change_database(store, "UPDATE seal SET checksum = x'00'")
    with pytest.raises(StoreCorruptError, match="index repair"):
        compact(store)


def test_a_sound_store_passes_the_deep_check(store: Path, hashing: Any) -> None:
    assert deep_check(store, hashing) == []


def test_a_sound_store_with_experts_passes_the_deep_check(tmp_path: Path) -> None:
    build(tmp_path / "store", ExpertEmbedder(), make_mixed_corpus(30))
    assert deep_check(tmp_path / "store", ExpertEmbedder()) == []


@pytest.mark.parametrize("count", [1, 3])
def test_a_partition_of_few_chunks_passes_the_deep_check(
    tmp_path: Path, hashing: Any, count: int
) -> None:
    build(tmp_path / "store", hashing, [Document(f"{i}", f"Text {i}.") for i in range(count)])
    assert deep_check(tmp_path / "store", hashing) == []


def test_an_embedder_that_changed_under_its_name_is_found(store: Path) -> None:
    class Changed(HashingEmbedder):
        def encode_query(self, text: str, domain: str | None = None) -> Any:
            return np.roll(super().encode_query(text), 1)

    (problem,) = deep_check(store, Changed())
    assert "121 of 121 vectors" in problem


def test_lost_recall_is_found(tmp_path: Path, hashing: Any) -> None:
    """An IVF segment that probes fewer lists than were needed at the build."""
    store = tmp_path / "store"
    build(store, hashing, make_corpus(100), settings=WriterSettings(flat_limit=20, small=0))
    assert deep_check(store, hashing) == []
    path = store / "generations" / "gen-000001" / "manifest.json"
    manifest = loads(path.read_bytes(), "manifest")
    (segment,) = manifest.segments
    assert segment.nprobe > 1
    few = replace(manifest, segments=(replace(segment, nprobe=1),))
    path.write_bytes(dumps(few))
    (problem,) = deep_check(store, hashing)
    assert "recall@10 in partition 'general'" in problem
