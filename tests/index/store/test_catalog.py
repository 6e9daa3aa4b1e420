"""Lists of the documents of a generation: order, pages, filters, restricted readers, damage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_helper import CORPUS, build, change_database, make_corpus

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import FilterError, StoreCorruptError
from expertrag_index.store.index import Index
from expertrag_index.store.listing import DocumentOrder, Position
from expertrag_index.types import Document

KEYS = {
    DocumentOrder.ID: lambda number: CORPUS[number].id,
    DocumentOrder.TITLE: lambda number: (CORPUS[number].title, CORPUS[number].id),
    DocumentOrder.SOURCE: lambda number: (CORPUS[number].source, CORPUS[number].id),
    DocumentOrder.NEWEST: lambda number: -number,
}


@pytest.fixture
def store(tmp_path: Path, hashing: Any) -> Path:
    path = tmp_path / "store"
    build(path, hashing, CORPUS)
    return path


@pytest.fixture
def index(store: Path) -> Iterator[Index]:
    with Index.open(store) as opened:
        yield opened


def paged(index: Index, size: int, **options: Any) -> list[str]:
    """Return the ids of all pages."""
    found: list[str] = []
    after: Position | None = None
    while page := index.catalog.documents(after=after, limit=size, **options):
        assert len(page) <= size
        found += [document.id for _, document in page]
        after = page[-1][0]
    return found


@pytest.mark.parametrize("order", DocumentOrder)
@pytest.mark.parametrize("size", [1, 7, 60, 1_000])
def test_pages_are_in_order_and_hold_each_document_once(
    index: Index, order: DocumentOrder, size: int
) -> None:
    numbers = sorted(range(len(CORPUS)), key=KEYS[order])
    assert paged(index, size, order=order) == [CORPUS[number].id for number in numbers]


def test_a_document_is_described_without_its_text(index: Index) -> None:
    stored = index.catalog.document("doc7")
    assert stored is not None
    assert (stored.title, stored.domain, stored.source) == (
        CORPUS[7].title, CORPUS[7].domain, CORPUS[7].source
    )  # fmt: skip
    assert stored.metadata == CORPUS[7].metadata
    assert stored.characters == len(CORPUS[7].text)
    assert stored.chunks == len(index.catalog.chunks("doc7")) == 2
    assert index.catalog.document("nobody") is None


def test_chunks_cover_the_text_from_any_ordinal_on(index: Index) -> None:
    text = index.document_text("doc7")
    first, second = index.catalog.chunks("doc7")
    assert [first.text, second.text] == [text[c.start : c.end] for c in (first, second)]
    assert index.catalog.chunks("doc7", 1) == [second]
    assert index.catalog.chunks("doc7", 0, 1) == [first]
    assert index.catalog.chunks("doc7", 2) == index.catalog.chunks("nobody") == []


def test_filters_and_counts(index: Index) -> None:
    odd = {"parity": "odd", "number": {"$lt": 20}}
    assert paged(index, 3, filter=odd, order=DocumentOrder.NEWEST) == [
        f"doc{number}" for number in range(19, 0, -2)
    ]
    assert index.catalog.count(odd) == 10
    assert index.catalog.count() == 60
    with pytest.raises(FilterError, match="unknown filter field 'nosuch'"):
        index.catalog.documents({"nosuch": 1})


def test_no_document_is_listed_twice_while_the_store_changes(store: Path, hashing: Any) -> None:
    draw = random.Random(3)
    listed: list[str] = []
    after: Position | None = None
    for round_number in range(30):
        with Index.open(store) as opened:
            page = opened.catalog.documents(after=after, limit=4)
        listed += [document.id for _, document in page]
        after = page[-1][0] if page else after
        with IndexWriter.open(store, hashing) as writer:
            writer.delete([f"doc{draw.randrange(60)}"])
            writer.add([Document(f"new{draw.randrange(60)}", f"Text of round {round_number}.")])
    assert len(listed) == len(set(listed))


def test_a_generation_lists_its_own_documents(store: Path, hashing: Any) -> None:
    with Index.open(store) as old:
        with IndexWriter.open(store, hashing) as writer:
            writer.build(make_corpus(3, version=1))
        with Index.open(store) as new:
            assert (len(paged(old, 9)), paged(new, 9)) == (60, ["doc0", "doc1", "doc2"])
            assert "edition1" in new.catalog.chunks("doc1")[0].text
        assert "edition0" in old.catalog.chunks("doc1")[0].text


def test_a_restricted_reader_lists_what_it_sees(tmp_path: Path, hashing: Any) -> None:
    documents = [
        Document("open", "Everyone reads this."),
        Document("red", "For red.", metadata={"year": 1}, labels=["red"]),
        Document("green", "For green.", metadata={"year": 1}, labels=["green"]),
    ]
    build(tmp_path / "labelled", hashing, documents)
    with Index.open(tmp_path / "labelled") as whole:
        part = whole.restrict({"red"})
        assert paged(whole, 2) == ["green", "open", "red"]
        assert paged(part, 2) == ["open", "red"]
        assert (part.catalog.count(), part.catalog.count({"year": 1})) == (2, 1)
        assert paged(part, 2, filter={"year": 1}) == ["red"]
        assert (part.catalog.document("green"), part.catalog.chunks("green")) == (None, [])
        rescaled = part.rescale({})
        assert paged(rescaled, 2) == ["open", "red"]


def test_long_titles_are_paged(tmp_path: Path, hashing: Any) -> None:
    documents = [Document(f"d{n}", f"Text {n}.", title="t" * 300 + str(9 - n)) for n in range(9)]
    build(tmp_path / "long", hashing, documents)
    with Index.open(tmp_path / "long") as opened:
        assert paged(opened, 2, order=DocumentOrder.TITLE) == [f"d{n}" for n in range(9)]


def test_damage_is_found(store: Path) -> None:
    change_database(store, "UPDATE documents SET title = 'other' WHERE id = 'doc7'")
    with Index.open(store) as opened:
        with pytest.raises(StoreCorruptError, match="document row"):
            opened.catalog.documents()
        with pytest.raises(StoreCorruptError, match="document row"):
            opened.catalog.document("doc7")
        assert opened.catalog.document("doc8") is not None
