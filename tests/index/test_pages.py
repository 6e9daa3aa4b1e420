"""Pages of PDF files: kept with the document, and told for each chunk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fpdf import FPDF
from store_helper import HashingEmbedder, build, migrate

from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders import load
from expertrag_index.loaders.parse import _remove_invisible
from expertrag_index.store.index import Index
from expertrag_index.types import Document, LoadFailure

PAGES = (
    "The first page is about anchors. " * 40,
    "",
    "The third page is about basil. " * 40,
    "The fourth page is short.",
    "",
)


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    made = FPDF()
    made.set_font("helvetica", size=9)
    for text in PAGES:
        made.add_page()
        if text:
            made.multi_cell(0, None, text)
    path = tmp_path / "docs" / "manual.pdf"
    path.parent.mkdir()
    made.output(str(path))
    return path


def read(path: Path) -> Document:
    failures: list[LoadFailure] = []
    (document,) = load([path], on_failure=failures.append)
    assert failures == []
    return document


def test_a_pdf_tells_where_its_pages_begin(pdf: Path) -> None:
    document = read(pdf)
    first, second, third, fourth, fifth = document.page_starts
    assert document.text[first:].startswith("The first page")
    assert second == third  # an empty page begins where the next one does
    assert document.text[third:].startswith("The third page")
    assert document.text[fourth:] == "The fourth page is short."
    assert fifth == len(document.text)
    assert document.metadata["pages"] == 5


def test_chunks_know_their_page(pdf: Path, tmp_path: Path, hashing: Any) -> None:
    document = read(pdf)
    store = tmp_path / "store"
    build(store, hashing, [document, Document("plain", "No pages here.")])
    with Index.open(store) as index:
        chunks = index.catalog.chunks("manual.pdf")
        assert {chunk.page for chunk in chunks} == {1, 3}
        for chunk in chunks:
            expected = "first" if chunk.page == 1 else "third"
            assert f"The {expected}" in chunk.text
            inside = [start for start in document.page_starts if chunk.start < start < chunk.end]
            assert list(dict.fromkeys(chunk.page_starts)) == list(dict.fromkeys(inside))
        assert "fourth" in chunks[-1].text and chunks[-1].page_starts
        (plain,) = index.catalog.chunks("plain")
        assert (plain.page, plain.page_starts) == (None, ())
        assert index.manifest.fields == {"pages": "int", "modified": "str"}
        stored = index.catalog.document("manual.pdf")
        assert stored is not None and stored.metadata["pages"] == 5


def test_pages_outlast_a_migration(pdf: Path, tmp_path: Path, hashing: Any) -> None:
    store = tmp_path / "store"
    build(store, hashing, [read(pdf)])
    with Index.open(store) as index:
        before = [(chunk.page, chunk.page_starts) for chunk in index.catalog.chunks("manual.pdf")]
    migrate(store, HashingEmbedder(fingerprint="other"))
    with Index.open(store) as index:
        after = [(chunk.page, chunk.page_starts) for chunk in index.catalog.chunks("manual.pdf")]
    assert after == before
    with IndexWriter.open(store, HashingEmbedder(fingerprint="other")) as writer:
        assert writer.build([read(pdf)]).unchanged == 1


def test_pages_move_when_invisible_characters_are_left_out() -> None:
    pages = ["a\u200bb", "c\u200b\u200bd", "e"]
    text = "\n\n".join(pages)
    starts = [0, text.index("c"), text.index("e")]
    shown = _remove_invisible(Document("id", text, page_starts=starts), Counter())
    assert shown.text == "ab\n\ncd\n\ne"
    assert list(shown.page_starts) == [0, 4, 8]


def test_the_name_is_reserved(tmp_path: Path, hashing: Any) -> None:
    with IndexWriter.open(tmp_path / "store", hashing) as writer:
        report = writer.build([Document("id", "Text.", metadata={"$pages": [0]})])
    assert [failure.reason for failure in report.failures] == [
        "metadata field '$pages' is reserved"
    ]
