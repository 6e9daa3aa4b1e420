from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_helper import CORPUS, HashingEmbedder, build

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import FilterError, IndexStoreError, SearchError, StoreNotFoundError
from expertrag_index.store.index import Index
from expertrag_index.types import Document
from expertrag_index.upkeep.verify import verify


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "store"
    with IndexWriter.open(path, HashingEmbedder()) as writer:
        writer.build([*CORPUS, Document("dead", "nothing", metadata={"only": 1})])
        writer.delete(["dead"])
    return path


@pytest.fixture(scope="module")
def index(store: Path) -> Iterator[Index]:
    with Index.open(store) as opened:
        yield opened


def exact(index: Index, query: Any, keep: Any) -> list[tuple[float, int]]:
    """Brute-force search over all chunks, through the public interface."""
    pairs = index.sample_chunks(index.size)
    keys = [key for key, chunk in pairs if keep(chunk)]
    scores = index.dense_scores(query, keys)
    return sorted(zip(scores.tolist(), keys, strict=True), key=lambda pair: (-pair[0], pair[1]))


FILTERS = [
    ({}, lambda m, c: True),
    ({"parity": "odd"}, lambda m, c: m["parity"] == "odd"),
    ({"number": {"$gte": 10, "$lt": 13}}, lambda m, c: 10 <= m["number"] < 13),
    ({"number": {"$in": [1, 2, 77]}}, lambda m, c: m["number"] in (1, 2)),
    ({"number": {"$gt": 57.5}}, lambda m, c: m["number"] > 57),
    ({"number": {"$lte": 0}}, lambda m, c: m["number"] == 0),
    ({"parity": {"$ne": "odd"}, "long": True}, lambda m, c: m["parity"] == "even" and m["long"]),
    ({"domain": "database"}, lambda m, c: c.domain == "database"),
    ({"domain": {"$ne": "database"}}, lambda m, c: c.domain is None),
    ({"source": {"$in": ["/notes/indexes/2.txt"]}}, lambda m, c: c.document_id == "doc2"),
    ({"parity": {"$gt": 5}}, lambda m, c: False),  # text never compares with a number
    ({"number": "1"}, lambda m, c: False),
    ({"number": {"$in": []}}, lambda m, c: False),
]


@pytest.mark.parametrize(("wanted", "keep"), FILTERS)
def test_filters_are_pushed_down(index: Index, hashing: Any, wanted: Any, keep: Any) -> None:
    query = hashing.encode_query("replication word5 number7")
    expected = exact(index, query, lambda chunk: keep(chunk.metadata, chunk))
    for k in (1, 10, 1000):
        hits = index.search_dense(query, k, wanted)
        assert [hit.key for hit in hits] == [key for _, key in expected[:k]]
        assert np.allclose([hit.score for hit in hits], [s for s, _ in expected[:k]], atol=1e-5)
    words = "checkpoints replication indexes"  # each chunk has one of them in its title
    lexical = index.search_lexical(words, 1000, wanted)
    assert {hit.key for hit in lexical} == {key for _, key in expected}
    assert index.search_lexical(words, 3, wanted) == lexical[:3]


def test_unknown_fields_and_operators_are_named(index: Index, hashing: Any) -> None:
    query = hashing.encode_query("x")
    known = "domain, long, number, parity, source"  # "only" died with its document
    with pytest.raises(FilterError, match=f"'yaer'.*{known}"):
        index.search_dense(query, 1, {"yaer": 1})
    with pytest.raises(FilterError, match=r"\$regex"):
        index.search_lexical("x", 1, {"number": {"$regex": "a"}})
    for value in (None, [1], float("nan"), float("inf"), 1 << 63, {}, {"$in": "abc"}, "\ud800"):
        with pytest.raises(FilterError):
            index.scan_cost({"number": value})
    with pytest.raises(FilterError, match="JSON"):
        index.scan_cost({"number": object()})
    with pytest.raises(FilterError, match="1,000"):
        index.scan_cost({"number": {"$in": list(range(1001))}})


def test_k_and_query_are_checked(index: Index, hashing: Any) -> None:
    query = hashing.encode_query("word5")
    bad_k: Any
    for bad_k in (0, -1, 1001, 10**6, True, 1.5):
        with pytest.raises(SearchError, match="1,000"):
            index.search_dense(query, bad_k)
        with pytest.raises(SearchError, match="1,000"):
            index.search_lexical("word5", bad_k)
    for bad in (query[:5], query[None], query * np.nan, query * 0):
        with pytest.raises(SearchError):
            index.search_dense(bad, 5)
        with pytest.raises(SearchError):
            index.best_similarity(bad)
    assert len(index.search_dense(query, 1000)) == index.size == index.scan_cost()
    assert index.dense_scores(query, []).shape == index.lexical_scores("word5", []).shape == (0,)


def test_bm25_by_hand(tmp_path: Path, hashing: Any) -> None:
    with IndexWriter.open(tmp_path / "store", hashing) as writer:
        writer.build([Document("a", "zebra zebra apple"), Document("b", "zebra"),
                      Document("c", "apple pear fig"), Document("d", "plum"),
                      Document("e", "cherry")])  # fmt: skip
    with Index.open(tmp_path / "store") as index:
        # N 5, n 2, idf ln(3.5/2.5); mean length 9/5; k1 1.2, b 0.75
        idf = np.log(3.5 / 2.5)
        expected = [idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 1.8)),
                    idf * 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 1 / 1.8))]  # fmt: skip
        hits = index.search_lexical("Zebras!", 5)  # Porter makes it zebra
        assert sorted(hit.score for hit in hits) == pytest.approx(sorted(expected))
        keys = [hit.key for hit in hits]
        assert index.lexical_scores("zebras", keys) == pytest.approx([hit.score for hit in hits])
        statistics = index.term_statistics("the zebra zebra unicorn")
        assert [(item.term, item.document_frequency) for item in statistics] == [
            ("zebra", 2),
            ("unicorn", 0),
        ]
        assert statistics[0].idf == pytest.approx(np.log(1 + 3.5 / 2.5))


@pytest.mark.parametrize(
    "query",
    ["", '"', "a AND OR NOT (", "NEAR(word5 word6, 2)", "title:word5", "word5* ^x", "😀 ~", "\0",
     "word5 -- ; DROP TABLE chunks", "\ud800", "中文 слово", "_" * 99, "the of and", "x" * 10**6,
     " ".join(f"w{i}" for i in range(150_000))],
)  # fmt: skip
def test_queries_are_never_interpreted_as_syntax(index: Index, query: str) -> None:
    index.search_lexical(query, 5)
    index.lexical_scores(query, [1])
    index.term_statistics(query)
    found = index.search_lexical(f"word5 {query}", 5)
    assert len(found) == 5


def test_texts_and_samples(index: Index) -> None:
    sample = index.sample_chunks(10, seed=3)
    assert sample == index.sample_chunks(10, seed=3) != index.sample_chunks(10, seed=4)
    keys = [key for key, _ in sample]
    assert index.chunks(keys[::-1]) == [chunk for _, chunk in sample][::-1]
    documents = {document.id: document for document in CORPUS}
    for _, chunk in sample:
        document = documents[chunk.document_id]
        assert index.document_text(document.id)[chunk.start : chunk.end] == chunk.text
        assert (chunk.source, chunk.domain) == (document.source, document.domain)
        assert chunk.metadata == document.metadata
    with pytest.raises(SearchError, match="nobody"):
        index.document_text("nobody")
    with pytest.raises(SearchError, match="dead"):
        index.document_text("dead")
    with pytest.raises(SearchError, match="no chunk 99999"):
        index.chunks([99999])


def test_a_reader_keeps_its_generation_while_a_writer_publishes(
    tmp_path: Path, hashing: Any
) -> None:
    path = tmp_path / "store"
    query = hashing.encode_query("replication word5")
    with IndexWriter.open(path, hashing) as writer:
        writer.build(CORPUS)
        with Index.open(path) as old:

            def look() -> object:
                hits = old.search_dense(query, 20), old.search_lexical("replication word5", 20)
                return hits, old.chunks([hit.key for hit in hits[0]]), old.term_statistics("word5")

            before = look()
            for keep in (40, 20, 10, 5):
                writer.build([replace(item, title="New") for item in CORPUS[:keep]])
                assert look() == before
                assert old.document_text("doc59") == CORPUS[59].text
                with Index.open(path) as new:
                    assert new.manifest.documents == keep
                    assert not new.degradation


def test_searching_from_many_threads(index: Index, hashing: Any) -> None:
    def found(query: str) -> object:
        vector = hashing.encode_query(query)
        return index.search_dense(vector, 5, {"parity": "odd"}), index.search_lexical(query, 5)

    queries = [f"word{i} replication" for i in range(12)] * 8
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(found, queries)) == [*map(found, queries)]


def test_rejects_a_missing_store(tmp_path: Path, store: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing", store / "CURRENT"):
        with pytest.raises(StoreNotFoundError, match="index build"):
            Index.open(path)
    index = Index.open(store)
    index.close()
    index.close()
    with pytest.raises(IndexStoreError, match="closed"):
        index.search_lexical("word5", 5)


def test_small_segments_ivf_and_merging(tmp_path: Path) -> None:
    embedder = HashingEmbedder(dimension=24)
    settings = WriterSettings(flat_limit=1000, small=100, max_segments=3)
    documents = [
        Document(f"d{i}", f"a{i % 50} b{i % 31} c{i % 17} n{i}", metadata={"i": i % 400})
        for i in range(1500)
    ]
    path = tmp_path / "store"

    def kinds() -> list[str]:
        with Index.open(path) as index:
            return [segment.kind for segment in index.manifest.segments]

    with IndexWriter.open(path, embedder, settings=settings) as writer:
        writer.build(documents[:900])
        assert kinds() == ["flat"]
        writer.add(documents[900:920])
        assert kinds() == ["flat", "flat"]
        writer.add(documents[920:1400])
        assert kinds() == ["ivf_sq8"]  # beyond flat_limit
        writer.add(documents[1400:1481])
        writer.add(documents[1481:])  # takes in no segment of more than four times its size
        assert kinds() == ["ivf_sq8", "flat", "flat"]
        writer.delete(["d5", "d1490"])
        assert kinds() == ["ivf_sq8", "flat", "flat"]
        with Index.open(path) as index:
            assert index.size == 1498
            assert index.manifest.recall_at_10 >= 0.95
            assert index.scan_cost() < index.size
            assert_recall(index, embedder)
        writer.add([Document("d1500", "one more")])
        assert kinds() == ["ivf_sq8"]  # a fourth segment is one too many
        writer.delete([f"d{i}" for i in range(700)])
        assert kinds() == ["flat"]  # more than a quarter was dead, and few are left


def test_a_small_update_writes_a_small_file(tmp_path: Path) -> None:
    embedder = HashingEmbedder(dimension=24)
    documents = [Document(f"d{i}", f"a{i % 50} b{i % 31} n{i}") for i in range(400)]
    build(tmp_path / "s", embedder, documents, settings=WriterSettings(small=100))
    counts: list[list[int]] = []
    files: set[str] = set()
    for i in range(30):
        changed = [Document("d7", f"a7 b7 changed {i}"), Document(f"e{i}", f"a{i} b{i} new")]
        with IndexWriter.open(tmp_path / "s", embedder, settings=WriterSettings(small=100)) as w:
            w.add(changed)
        with Index.open(tmp_path / "s") as index:
            large, *others = index.manifest.segments
            counts.append([segment.count for segment in (large, *others)])
            files.add(large.entry.file)
            found = [hit.key for hit in index.search_dense(embedder.encode_query("a7"), 1000)]
            assert sorted(found) == sorted(key for key, _ in index.sample_chunks(1000))
    assert counts[:3] == [[400, 2], [400, 3], [400, 4]]  # the replaced version is left out
    assert max(map(len, counts)) <= 4
    assert len(files) == 1
    assert verify(tmp_path / "s").problems == ()


def test_equal_chunks_do_not_distort_the_measured_recall(tmp_path: Path) -> None:
    settings = WriterSettings(flat_limit=500, small=100)
    documents = [Document(f"d{i}", f"the same words {i % 20}") for i in range(1200)]
    build(tmp_path / "s", HashingEmbedder(dimension=24), documents, settings=settings)
    with Index.open(tmp_path / "s") as index:
        assert index.manifest.segments[0].kind == "ivf_sq8"
        assert index.manifest.recall_at_10 >= 0.95
        assert index.scan_cost() < index.size / 2


def assert_recall(index: Index, embedder: Any) -> None:
    found = 0
    for i in range(50):
        query = embedder.encode_query(f"a{i} b{i % 31} c{i % 17}")
        truth = exact(index, query, lambda chunk: True)[:10]
        hits = index.search_dense(query, 10)
        scores = {key: score for score, key in truth}
        found += sum(hit.score >= truth[-1][0] - 1e-6 for hit in hits)
        for hit in hits:
            assert hit.score == pytest.approx(scores.get(hit.key, hit.score), abs=1e-5)
    assert found >= 0.9 * 500
    for wanted, count in (({"i": 7}, 4), ({"i": {"$lt": 300}}, 1098), ({"i": {"$gte": 90}}, 1158)):
        assert len(index.search_dense(query, 1000, wanted)) == min(1000, count)


def test_opening_while_a_writer_publishes(tmp_path: Path, hashing: Any) -> None:
    path = tmp_path / "store"
    generations: list[int] = []
    problems: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                with Index.open(path) as index:
                    generations.append(index.generation)
                    assert len(index.sample_chunks(1000)) == index.size
                    assert len(index.search_lexical("checkpoints", 1000)) > 0
                    problems.extend([index.degradation] if index.degradation else [])
            except (IndexStoreError, AssertionError) as error:
                problems.append(error)

    with IndexWriter.open(path, hashing) as writer:
        writer.build(CORPUS)
        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for i in range(20):
            writer.build([replace(item, title=f"Edition {i}") for item in CORPUS[: 60 - i]])
        done.set()
        for thread in threads:
            thread.join()
    assert not problems
    assert len(set(generations)) > 3
