"""A restricted index behaves as a store that holds only what its reader may see."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from store_helper import HashingEmbedder

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import FilterError, SearchError, StoreFormatError
from expertrag_index.store.index import Index
from expertrag_index.types import Document

WORDS = ["anchor", "basil", "copper", "dagger", "ember", "falcon", "garnet", "harbor", "island"]
SEEN = frozenset({"red", "blue"})


def corpus(seed: int = 7) -> list[Document]:
    """Documents of a small vocabulary, so that every word is in seen and in hidden ones."""
    draw = random.Random(seed)
    documents = []
    for number in range(60):
        text = " ".join(draw.choices(WORDS, k=draw.randrange(5, 40)))
        labels: Sequence[str] = draw.choice([(), ("red",), ("green",), ("green", "blue")])
        hidden = bool(labels) and not SEEN & set(labels)
        documents.append(
            Document(
                id=f"d{number}",
                text=text + (" zebracanary zebracanary" if hidden else ""),
                title=draw.choice(WORDS),
                metadata={"year": number, **({"hiddenfield": 1} if hidden else {})},
                domain=draw.choice(["tools", "garden", None]) if not hidden else "hiddendomain",
                labels=labels,
            )
        )
    return documents


def admitted(documents: Sequence[Document]) -> list[Document]:
    return [item for item in documents if not item.labels or SEEN & set(item.labels)]


@pytest.fixture
def pair(tmp_path: Path, hashing: HashingEmbedder) -> Iterator[tuple[Index, Index]]:
    """The restricted index, and the index of a store with only the admitted documents."""
    documents = corpus()
    for name, some in (("whole", documents), ("part", admitted(documents))):
        with IndexWriter.open(tmp_path / name, hashing) as writer:
            writer.build(some)
    with Index.open(tmp_path / "whole") as whole, Index.open(tmp_path / "part") as part:
        yield whole.restrict(SEEN), part


def named(index: Index, hits: Sequence[object]) -> list[tuple[str, int, object]]:
    """Hits by document and ordinal, because keys differ between the stores."""
    keys = [hit.key for hit in hits]  # type: ignore[attr-defined]
    scores = [hit.score for hit in hits]  # type: ignore[attr-defined]
    chunks = index.chunks(keys)
    return [
        (chunk.document_id, chunk.ordinal, pytest.approx(score, rel=1e-6))
        for chunk, score in zip(chunks, scores, strict=True)
    ]


QUERIES = ("anchor", "basil copper", "island jasmine kernel falcon", "zebracanary", "embers")


@pytest.mark.parametrize("query", QUERIES)
def test_bm25_counts_only_admitted_chunks(pair: tuple[Index, Index], query: str) -> None:
    restricted, part = pair
    assert restricted.term_statistics(query) == part.term_statistics(query)
    found = restricted.search_lexical(query, 50)
    assert named(restricted, found) == named(part, part.search_lexical(query, 50))
    narrowed = restricted.search_lexical(query, 50, {"year": {"$lt": 30}})
    assert named(restricted, narrowed) == named(
        part, part.search_lexical(query, 50, {"year": {"$lt": 30}})
    )
    keys = [hit.key for hit in found]
    again = restricted.lexical_scores(query, keys)
    assert again.tolist() == pytest.approx([hit.score for hit in found], rel=1e-6)


@pytest.mark.parametrize("query", QUERIES)
def test_dense_search_ranks_only_admitted_chunks(
    pair: tuple[Index, Index], hashing: HashingEmbedder, query: str
) -> None:
    restricted, part = pair
    (vector,) = hashing.encode_documents([query])
    found = restricted.search_dense(vector, 50)
    assert len(found) == part.size
    assert named(restricted, found) == named(part, part.search_dense(vector, 50))
    assert restricted.best_similarity(vector) == pytest.approx(part.best_similarity(vector))
    assert restricted.scan_cost() == part.scan_cost()


def test_counts_fields_and_domains_are_those_of_the_part(pair: tuple[Index, Index]) -> None:
    restricted, part = pair
    ours, theirs = restricted.manifest, part.manifest
    assert (ours.documents, ours.chunks) == (theirs.documents, theirs.chunks)
    assert (ours.fields, ours.domains) == (theirs.fields, theirs.domains)
    assert restricted.partitions() == part.partitions()
    assert restricted.size == part.size
    assert restricted.size_bytes == 0
    assert restricted.respell("zebracanayr") == "zebracanayr"
    with pytest.raises(FilterError) as failure:
        restricted.partitions({"hiddenfield": 1})
    assert "year" in str(failure.value)
    assert str(failure.value).count("hiddenfield") == 1  # as it was asked


def test_nothing_is_read_by_a_name_of_a_hidden_document(
    tmp_path: Path, hashing: HashingEmbedder
) -> None:
    documents = corpus()
    hidden = next(item for item in documents if item.labels == ("green",))
    with IndexWriter.open(tmp_path, hashing) as writer:
        writer.build(documents)
    with Index.open(tmp_path) as index:
        restricted = index.restrict(SEEN)
        assert index.document_text(hidden.id) == hidden.text
        with pytest.raises(SearchError) as failure:
            restricted.document_text(hidden.id)
        with pytest.raises(SearchError) as unknown:
            restricted.document_text("no such id")
        assert str(failure.value).replace(hidden.id, "x") == str(unknown.value).replace(
            "no such id", "x"
        )
        keys = [hit.key for hit in index.search_lexical("zebracanary", 1)]
        with pytest.raises(SearchError):
            restricted.chunks(keys)
        with pytest.raises(SearchError):
            restricted.dense_scores(hashing.encode_documents(["basil"])[0], keys)
        seen = {chunk.document_id for _, chunk in restricted.sample_chunks(1000)}
        assert seen == {item.id for item in admitted(documents)}


def test_a_reader_without_labels_sees_unlabelled_documents(
    tmp_path: Path, hashing: HashingEmbedder
) -> None:
    documents = corpus()
    with IndexWriter.open(tmp_path, hashing) as writer:
        writer.build(documents)
    with Index.open(tmp_path) as index:
        seen = {chunk.document_id for _, chunk in index.restrict(()).sample_chunks(1000)}
    assert seen == {item.id for item in documents if not item.labels}


def test_changed_labels_take_effect_with_the_next_generation(
    tmp_path: Path, hashing: HashingEmbedder
) -> None:
    with IndexWriter.open(tmp_path, hashing) as writer:
        writer.build([Document("a", "basil and copper"), Document("b", "an island")])
        with Index.open(tmp_path) as index:
            assert index.restrict(()) is index  # no document has labels
        report = writer.build([Document("a", "basil and copper", labels=["red"]),
                               Document("b", "an island")])  # fmt: skip
        assert (report.changed, report.chunks_embedded) == (1, 0)
    with Index.open(tmp_path) as index:
        assert index.restrict(()).manifest.documents == 1
        assert index.restrict(["red"]).manifest.documents == 2
        assert index.manifest.fields == {}
        assert index.labels() == {"red"}
    with IndexWriter.open(tmp_path, hashing) as writer:
        writer.migrate()
        assert writer.build([Document("b", "an island")]).removed == 1
    with Index.open(tmp_path) as index:
        assert not index.manifest.has_labels
        assert index.labels() == frozenset()


def test_a_version_without_labels_refuses_a_labelled_store(
    tmp_path: Path, hashing: HashingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with IndexWriter.open(tmp_path, hashing) as writer:
        writer.build([Document("a", "basil", labels=["red"])])
    monkeypatch.setattr("expertrag_index.store.manifest.READABLE_FORMATS", (5,))  # without labels
    with pytest.raises(StoreFormatError, match="format 6"):
        Index.open(tmp_path)


def test_a_document_with_a_label_that_no_caller_can_have_is_not_stored(
    tmp_path: Path, hashing: HashingEmbedder
) -> None:
    with IndexWriter.open(tmp_path, hashing) as writer:
        report = writer.build([Document("a", "basil", labels=["h r"]), Document("b", "an island")])
    (failure,) = report.failures
    assert "access label 'h r'" in failure.reason
    assert report.added == 1


def test_the_stored_name_of_the_labels_is_reserved(
    tmp_path: Path, hashing: HashingEmbedder
) -> None:
    with IndexWriter.open(tmp_path, hashing) as writer:
        report = writer.build(
            [Document("a", "basil", metadata={"$labels": 7}), Document("b", "an island")]
        )
    (failure,) = report.failures
    assert "reserved" in failure.reason
    assert report.added == 1
