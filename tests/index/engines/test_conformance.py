"""A store answers the same wherever its vectors are: in its folder, in PostgreSQL, in Qdrant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_places import Engine, InFolder, Place, settings
from store_helper import (
    CORPUS,
    ExpertEmbedder,
    HashingEmbedder,
    PowerCutError,
    build,
    make_corpus,
    make_mixed_corpus,
    migrate,
)

from expertrag_index.build import writer as build_module
from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.engines import postgres_search
from expertrag_index.errors import ReadOnlyReplicaError, StoreCorruptError
from expertrag_index.replicas.pull import pull
from expertrag_index.replicas.push import push
from expertrag_index.search.vector_store import Among
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.opening import Generation, open_published
from expertrag_index.types import Document, Filter
from expertrag_index.upkeep.backup import backup
from expertrag_index.upkeep.compact import compact
from expertrag_index.upkeep.deep import deep_check
from expertrag_index.upkeep.verify import verify

QUESTIONS = ("checkpoints word3 number9", "indexes edition1", "about replication word70 word12")


@pytest.fixture
def expected(tmp_path: Path, hashing: HashingEmbedder) -> Iterator[Index]:
    """The corpus with its vectors in the folder."""
    build(tmp_path / "expected", hashing, CORPUS)
    with Index.open(tmp_path / "expected") as index:
        yield index


@pytest.fixture
def store(tmp_path: Path, hashing: HashingEmbedder, place: Place) -> Path:
    """The corpus with its vectors in a place."""
    build(tmp_path / "store", hashing, CORPUS, settings=settings(place))
    return tmp_path / "store"


def found(index: Index, embedder: HashingEmbedder, filter: Filter | None = None) -> list[Any]:
    """The hits of some questions by document and ordinal, with scores."""
    results = []
    for question in QUESTIONS:
        hits = index.search_dense(embedder.encode_query(question), 20, filter)
        chunks = index.chunks([hit.key for hit in hits])
        results += [
            (chunk.document_id, chunk.ordinal, pytest.approx(hit.score, abs=1e-6))
            for chunk, hit in zip(chunks, hits, strict=True)
        ]
    return results


@contextmanager
def opened(store: Path) -> Iterator[Generation]:
    generation = open_published(Layout(store))
    yield generation
    generation.pool.close()


def test_the_hits_and_scores_are_the_same(
    store: Path, expected: Index, hashing: HashingEmbedder
) -> None:
    with Index.open(store) as index:
        assert found(index, hashing) == found(expected, hashing)
        query = hashing.encode_query(QUESTIONS[0])
        keys = [5, 80, 3, 80]
        np.testing.assert_allclose(
            index.dense_scores(query, keys), expected.dense_scores(query, keys), atol=1e-6
        )
        assert index.search_lexical("word3", 5) == expected.search_lexical("word3", 5)
        assert index.scan_cost() == index.size == expected.size


NESTED = '["hr"]'
NASTY = [
    Document("both", "w 1", metadata={"tags": ["hr", "pay"], "author.name": "Ada", "year": 2020}),
    Document("one", "w 2", metadata={"tags": ["hr"], "author.name": "Bob", "year": 2021.5}),
    Document("scalar", "w 3", metadata={"tags": "hr", "sizes": [1, 2.5, True]}),
    Document("numbers", "w 4", metadata={"tags": [10, 20], "sizes": 7, "year": "2020"}),
    Document("mixed", "w 5", metadata={"tags": ["pay", 15, False]}, domain="law"),
    Document("odd", "w 6", metadata={'a"b.c\\d[0]': ["x"], "tags": ["[]", NESTED]}),
    Document("big", "w 7", metadata={"year": 9007199254740993, "name": "Ünïcode 😀"}),
    Document("texts", "w 8", metadata={"name": "zebra", "tags": ["a", "Z"]}, source="/x/ö.txt"),
    Document("number", "w 9", domain="5"),
    Document("none", "w 10"),
]
FILTERS: list[dict[str, Any]] = [
    {"tags": "hr"},
    {"tags": 10},
    {"tags": "10"},
    {"tags": False},
    {"tags": 0},
    {"tags": True},
    {"tags": NESTED},
    {"tags": {"$ne": "hr"}},
    {"tags": {"$ne": 15}},
    {"tags": {"$in": ["pay", 20, False]}},
    {"tags": {"$in": []}},
    {"tags": {"$gt": "Z"}},
    {"tags": {"$lte": "a"}},
    {"tags": {"$gte": 15}},
    {"sizes": {"$gt": 1, "$lt": 7}},
    {"sizes": 1.0},
    {"sizes": 2.5},
    {"year": 2020},
    {"year": "2020"},
    {"year": {"$gt": 2020}},
    {"year": {"$gte": 9007199254740993}},
    {"year": {"$ne": 2020}},
    {"name": {"$gt": "zebra"}},
    {"name": "Ünïcode 😀"},
    {"author.name": "Ada"},
    {"author.name": {"$ne": "Ada"}, "tags": "hr"},
    {'a"b.c\\d[0]': "x"},
    {"domain": "law"},
    {"domain": "5"},
    {"domain": 5},
    {"domain": {"$ne": "law"}},
    {"source": {"$gte": "/x/"}},
    {"tags": "hr", "year": {"$lt": 2021}},
]


@pytest.mark.parametrize("few", [0, 5_000])
def test_filters_admit_the_same(
    tmp_path: Path,
    hashing: HashingEmbedder,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    few: int,
) -> None:
    monkeypatch.setattr(postgres_search, "_FEW", few)  # with 0, PostgreSQL filters by itself
    build(tmp_path / "store", hashing, NASTY, settings=settings(place))
    query = hashing.encode_query("w")
    with Index.open(tmp_path / "store") as index, opened(tmp_path / "store") as generation:
        for wanted in FILTERS:
            selection = index._selection(wanted)
            assert selection is not None
            among = Among(selection.keys, selection.bitmap, wanted)
            hits = generation.vectors.search("general", query, 20, among)
            assert sorted(hits.keys.tolist()) == selection.keys.tolist(), wanted


def test_access_labels_hold(tmp_path: Path, hashing: HashingEmbedder, place: Place) -> None:
    labels = [(), ("red",), ("green",), ("green", "blue"), ("team:a@b.c-d_1",)]
    documents = [
        Document(f"d{i}", f"word{i} common", labels=labels[i % len(labels)]) for i in range(400)
    ]
    build(tmp_path / "store", hashing, documents, settings=settings(place))
    query = hashing.encode_query("common")
    with Index.open(tmp_path / "store") as index:
        for seen in ({"red"}, {"blue", "red"}, {"team:a@b.c-d_1"}, set[str]()):
            restricted = index.restrict(seen)
            hits = restricted.search_dense(query, 400)
            admitted = {i for i in range(400) if not labels[i % 5] or seen & {*labels[i % 5]}}
            assert {chunk.document_id for chunk in index.chunks([hit.key for hit in hits])} == {
                f"d{i}" for i in admitted
            }


def test_a_reader_keeps_its_generation(store: Path, hashing: HashingEmbedder, place: Place) -> None:
    with Index.open(store) as before:
        first = found(before, hashing)
        with IndexWriter.open(store, hashing) as writer:
            writer.add([*make_corpus(20, version=1), Document("new", "checkpoints word3")])
            writer.delete(["doc4", "doc9"])
        assert found(before, hashing) == first
        with Index.open(store) as after:
            assert after.generation == before.generation + 2
            assert found(after, hashing) != first
            documents = {document for document, *_ in found(after, hashing)}
            assert "new" in documents
            assert not documents & {"doc4", "doc9"}
            assert (after.manifest.engine is None) == isinstance(place, InFolder)


def test_a_killed_writer_leaves_nothing(
    store: Path, hashing: HashingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index.open(store) as index:
        before = found(index, hashing)
    with monkeypatch.context() as patch:

        def stop(*_: object) -> None:
            raise PowerCutError

        patch.setattr(build_module, "publish", stop)  # after the vectors have been written
        with pytest.raises(PowerCutError):
            build(store, hashing, make_corpus(50, version=3))
    with Index.open(store) as index:
        assert found(index, hashing) == before
    build(store, hashing, CORPUS)  # nothing to do, but it drops what was left
    assert verify(store).problems == ()
    build(store, hashing, make_corpus(50, version=4))
    assert verify(store).problems == ()


def test_damage_is_found_and_repaired(
    tmp_path: Path, engine: Engine, hashing: HashingEmbedder
) -> None:
    store = tmp_path / "store"
    build(store, hashing, CORPUS, settings=settings(engine))
    with Index.open(store) as index:
        before = found(index, hashing)
    engine.lose(7)
    engine.turn(8)
    problems = " ".join(verify(store).problems)
    assert "lacks 1 chunks: 7" in problems
    assert "holds other data of 1 chunks: 8" in problems
    with Index.open(store) as index, pytest.raises(StoreCorruptError, match="index repair"):
        index.dense_scores(hashing.encode_query("x"), [7])
    assert verify(store, repair=True).problems == ()
    with Index.open(store) as index:
        assert found(index, hashing) == before


def test_a_deep_check_compares_searches_with_exact_search(
    tmp_path: Path, engine: Engine, hashing: HashingEmbedder
) -> None:
    store = tmp_path / "store"
    build(store, hashing, CORPUS, settings=settings(engine))
    assert deep_check(store, hashing) == []
    for key in range(1, 61):
        engine.turn(key)
    (problem,) = deep_check(store, hashing)
    assert "recall@10" in problem


def test_partitions_of_experts_and_a_migration(
    tmp_path: Path, place: Place, hashing: HashingEmbedder
) -> None:
    path, experts = tmp_path / "store", ExpertEmbedder()
    documents = make_mixed_corpus(45)
    build(path, hashing, documents, settings=settings(place))
    with Index.open(path) as before:
        migrate(path, experts)  # vectors of another length
        build(tmp_path / "expected", experts, documents)
        assert before.search_dense(hashing.encode_query("garden word3"), 3)
        with Index.open(path) as index, Index.open(tmp_path / "expected") as expected:
            assert set(index.partitions()) == {"legal", "finance", "general"}
            vectors = {
                name: experts.encode_query("about number9 word3", name)
                for name in index.partitions()
            }
            hits, same = index.search_dense(vectors, 30), expected.search_dense(vectors, 30)
            assert [hit.score for hit in hits] == pytest.approx(
                [hit.score for hit in same], abs=1e-6
            )
        first = found(before, hashing)
    migrate(path, hashing)  # back to the first length, of which the engine has old rows
    with Index.open(path) as index:
        assert found(index, hashing) == first
    assert verify(path).problems == ()


def test_a_store_moves(tmp_path: Path, place: Place, hashing: HashingEmbedder) -> None:
    path = tmp_path / "store"
    build(path, hashing, CORPUS)
    with Index.open(path) as index:
        before = found(index, hashing)
    for vectors in (place.vectors, "faiss", place.vectors):
        report = compact(path, settings=WriterSettings(vectors=vectors))
        assert verify(path).problems == ()
        with Index.open(path) as index:
            assert index.generation == report.generation
            assert found(index, hashing) == before
    build(path, hashing, make_corpus(30), settings=WriterSettings(vectors="faiss"))
    with Index.open(path) as index:
        assert index.manifest.engine is None
    compact(path, settings=settings(place))
    compact(path)  # stays where it is
    assert verify(path).problems == ()


def test_copies_answer_from_the_same_place(
    store: Path, tmp_path: Path, hashing: HashingEmbedder
) -> None:
    url, copy = str(tmp_path / "shared"), tmp_path / "replica"
    for version in (1, 2):
        push(store, url)
        pull(url, copy)
        with Index.open(store) as written, Index.open(copy) as read:
            assert found(read, hashing) == found(written, hashing)
            build(store, hashing, make_corpus(40, version=version))  # the copy is behind
            assert found(read, hashing) == found(written, hashing)
    assert verify(copy).problems == ()
    with pytest.raises(ReadOnlyReplicaError):
        build(copy, hashing, CORPUS)
    assert verify(store).problems == ()


def test_a_backup_is_a_store_of_its_own(
    store: Path, tmp_path: Path, place: Place, hashing: HashingEmbedder
) -> None:
    with Index.open(store) as index:
        before = found(index, hashing)
    backup(store, tmp_path / "copy")
    build(store, hashing, make_corpus(10, version=5))
    with Index.open(tmp_path / "copy") as copy:
        assert copy.manifest.engine is None
        assert found(copy, hashing) == before
    build(tmp_path / "copy", hashing, make_corpus(8))
    assert verify(store).problems == ()
