"""Filters on metadata with lists and dotted names, in a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_helper import HashingEmbedder, build

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import FilterError
from expertrag_index.store.index import Index
from expertrag_index.types import Document
from expertrag_index.upkeep.verify import verify

DOCUMENTS = [
    Document("both", "word one", metadata={"tags": ["hr", "pay"], "author.name": "Ada"}),
    Document("one", "word two", metadata={"tags": ["hr"], "author.name": "Bob"}),
    Document("scalar", "word three", metadata={"tags": "hr", "sizes": [1, 2.5, True]}),
    Document("numbers", "word four", metadata={"tags": [10, 20], "sizes": 7}),
    Document("mixed", "word five", metadata={"tags": ["pay", 15, False]}),
    Document("odd", "word six", metadata={'a"b.c\\d': ["x"], "tags": ["[]", '["hr"]']}),
    Document("none", "word seven"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filters") / "store"
    assert build(path, HashingEmbedder(), DOCUMENTS).failures == ()
    return path


@pytest.fixture(scope="module")
def index(store: Path) -> Iterator[Index]:
    with Index.open(store) as opened:
        yield opened


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"tags": "hr"}, {"both", "one", "scalar"}),
        ({"tags": 10}, {"numbers"}),
        ({"tags": "10"}, set()),
        ({"tags": False}, {"mixed"}),
        ({"tags": "[]"}, {"odd"}),
        ({"tags": '["hr"]'}, {"odd"}),  # the text of a list is not the list
        ({"tags": {"$ne": "hr"}}, {"numbers", "mixed", "odd", "none"}),
        ({"tags": {"$in": ["pay", 20]}}, {"both", "numbers", "mixed"}),
        ({"tags": {"$in": []}}, set()),
        ({"tags": {"$gt": 12}}, {"numbers", "mixed"}),
        ({"tags": {"$lt": 12}}, {"numbers", "mixed"}),  # False counts as 0
        ({"tags": {"$gte": "pay"}}, {"both", "mixed"}),
        ({"tags": {"$gt": 12, "$lt": 14}}, {"numbers", "mixed"}),  # by one value each
        ({"tags": {"$eq": "pay", "$ne": "hr"}}, {"mixed"}),
        ({"author.name": "Ada"}, {"both"}),
        ({"author.name": {"$ne": "Ada"}, "tags": "hr"}, {"one", "scalar"}),
        ({"sizes": {"$gte": 2.5}}, {"scalar", "numbers"}),
        ({'a"b.c\\d': "x"}, {"odd"}),
    ],
)
def test_a_list_matches_if_one_value_does(index: Index, wanted: Any, found: set[str]) -> None:
    keys = [hit.key for hit in index.search_lexical("word", 100, wanted)]
    assert {chunk.document_id for chunk in index.chunks(keys)} == found


def test_metadata_survives_a_round_trip(index: Index) -> None:
    keys = [hit.key for hit in index.search_lexical("word", 100)]
    chunks = {chunk.document_id: dict(chunk.metadata) for chunk in index.chunks(keys)}
    assert chunks == {document.id: dict(document.metadata) for document in DOCUMENTS}
    assert index.manifest.fields["author.name"] == "str"
    assert index.manifest.fields['a"b.c\\d'] == "list"
    assert index.manifest.fields["tags"] == "mixed"


def test_a_store_with_lists_verifies_and_is_unchanged_by_a_rebuild(store: Path) -> None:
    assert verify(store).problems == ()
    assert build(store, HashingEmbedder(), DOCUMENTS).unchanged == len(DOCUMENTS)


def test_errors_name_the_cure(index: Index) -> None:
    with pytest.raises(FilterError, match=r"'author': this store has .*author\.name"):
        index.search_lexical("word", 1, {"author": {"name": "Ada"}})
    with pytest.raises(FilterError, match=r"not a list: use .*\$in"):
        index.search_lexical("word", 1, {"tags": ["hr", "pay"]})


def test_an_error_names_only_some_of_many_fields(tmp_path: Path) -> None:
    metadata = {f"field{number:03}": number for number in range(100)}
    build(tmp_path / "store", HashingEmbedder(), [Document("a", "word", metadata=metadata)])
    with Index.open(tmp_path / "store") as opened, pytest.raises(FilterError) as caught:
        opened.search_lexical("word", 1, {"filed001": 1})
    assert "field001" in str(caught.value)
    assert str(caught.value).endswith("and 62 more")


@pytest.mark.parametrize("value", [None, [None], [[1]], [float("nan")], [object()], {"a": 1}])
def test_metadata_that_cannot_be_stored_is_a_failure(tmp_path: Path, value: Any) -> None:
    with IndexWriter.open(tmp_path / "store", HashingEmbedder()) as writer:
        documents = [Document("a", "word"), Document("b", "word", metadata={"x": value})]
        report = writer.build(documents)
    (failure,) = report.failures
    assert (report.added, failure.document_id) == (1, "b")
    assert "'x'" in failure.reason
