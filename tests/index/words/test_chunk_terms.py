"""Terms of chunks, and searches of stores in several languages."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_helper import HashingEmbedder, build

from expertrag_index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import dumps
from expertrag_index.store.opening import read_manifest
from expertrag_index.types import Document
from expertrag_index.words import posting_segments
from expertrag_index.words.chunk_terms import chunk_terms

GERMAN = "Der Vertrag wird nach zwei Jahren verlängert, wenn er nicht mit Frist gekündigt wird."
ENGLISH = "The contract is renewed after two years unless notice is given by the tenant, Müller."
DOCUMENTS = [
    Document("de", GERMAN),
    Document("de2", "Die Kündigungen sind an Müller zu richten, und zwar auch dann, wenn es eilt."),
    Document("en", ENGLISH),
    Document("ru", "Договоры продлеваются каждый год."),
    Document("zh", "租约每两年续签一次。"),
]


def test_the_text_tells_the_language_of_its_title() -> None:
    assert chunk_terms("Fristen", GERMAN)[:2] == ["de/", "de/frist"]
    assert chunk_terms("Fristen", ENGLISH)[:2] == ["fristen", "the"]
    assert chunk_terms("", "4711") == ["4711"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Wie verlängern sich Verträge?", ["de"]),
        ("Kündigung", ["de2"]),
        ("renewing contracts", ["en"]),
        ("Müller", ["de2", "en"]),
        ("продление договора", ["ru"]),
        ("续签", ["zh"]),
        ("contract Kündigung", ["de2", "en"]),
    ],
)
def test_a_store_of_several_languages(query: str, expected: list[str], tmp_path: Path) -> None:
    build(tmp_path / "s", HashingEmbedder(), DOCUMENTS)
    with Index.open(tmp_path / "s") as index:
        hits = index.search_lexical(query, 5)
        found = [chunk.document_id for chunk in index.chunks([hit.key for hit in hits])]
    assert sorted(found) == expected


def test_a_word_weighs_the_same_in_all_languages(tmp_path: Path) -> None:
    """The language of few chunks does not come first because its words are rare."""
    many = [Document(f"en{n}", f"{ENGLISH} {n}") for n in range(9)]
    build(tmp_path / "s", HashingEmbedder(), [*many, Document("de", f"{GERMAN} Tenant.")])
    with Index.open(tmp_path / "s") as index:
        (statistics,) = index.term_statistics("tenant")
        assert statistics.document_frequency == 10


def test_postings_of_an_earlier_version_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "s"
    with monkeypatch.context() as earlier:
        earlier.setattr(posting_segments, "ANALYSIS_VERSION", 0)
        earlier.setattr("expertrag_index.words.chunk_terms.language_of", lambda _: "en")
        build(store, HashingEmbedder(), DOCUMENTS)
    assert read_manifest(Layout(store), 1).postings[0].analysis == 0
    report = build(store, HashingEmbedder(), DOCUMENTS)
    assert (report.generation, report.unchanged) == (2, len(DOCUMENTS))
    with Index.open(store) as index:
        assert index.search_lexical("Kündigung", 5)
    assert b'"analysis": 1' in dumps(read_manifest(Layout(store), 2))
    assert build(store, HashingEmbedder(), DOCUMENTS).generation == 2
