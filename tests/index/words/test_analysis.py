from __future__ import annotations

import sqlite3
import sys
import unicodedata

import pytest

from expertrag_index.words.analysis import tokens
from expertrag_index.words.patterns import TERM
from expertrag_index.words.query_words import query_terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("The running_dogs, twice: RUNNING!", ["the", "run", "dog", "twice", "run"]),
        ("x-ray mp3 3.14 m²", ["x", "rai", "mp3", "3", "14", "m²"]),
        ("Café Việt naïve ΟΔΟΣ ὁδός", ["cafe", "viet", "naiv", "οδ", "οδ"]),
        ("музеи Straße İstanbul", ["муз", "straß", "istanbul"]),
        ("日本語 の 2024年の", ["日本", "本語", "の", "2024", "年の"]),
        ("한국어를", ["한국", "국어", "어를"]),
        ("กรุงเทพ", ["กรุ", "รุง", "ุงเ", "งเท", "เทพ"]),
        ("हिन्दी की", ["हिन्द", "क"]),
        ("שָׁלוֹם كِتَاب", ["שלום", "كتاب"]),
        ("a\x00b\ud800c\ue000d", ["a", "b", "c", "d"]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_composed_and_decomposed_letters_are_the_same_term() -> None:
    text = "Ångström Việt naïve ά"
    assert tokens(unicodedata.normalize("NFD", text)) == tokens(text)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("", ["kündigungsfristen", "der", "müller", "gmbh", "42"]),
        ("de", ["de/kundigungsfrist", "de/der", "de/mull", "de/gmbh", "42"]),
        ("vi", ["kündigungsfristen", "der", "müller", "gmbh", "42"]),
    ],
)
def test_a_language_has_a_vocabulary_of_its_own(language: str, expected: list[str]) -> None:
    terms = tokens("Kündigungsfristen der Müller GmbH 42", language)
    if language != "de":
        expected = [term for word in expected for term in tokens(word)]
    assert terms == expected


def test_every_word_of_a_query_is_one_term() -> None:
    """So that no phrases need to be searched."""
    letters = [chr(code) for code in range(sys.maxunicode + 1) if TERM.fullmatch(chr(code))]
    assert len(letters) > 100_000
    several = [
        letter
        for letter in letters
        if [len(tokens(word)) for word in query_terms(f"b{letter}b")] not in ([1], [1, 1])
    ]
    assert several == []


def test_terms_of_latin_texts_are_those_of_sqlite() -> None:
    text = "Crème brûlée, Łódź & Fjällräven: Šport; ½ of ßtraßen İ ŉ ǅ 100\u00a0%"
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        """CREATE VIRTUAL TABLE texts USING fts5 (text, tokenize = 'porter unicode61');
        CREATE VIRTUAL TABLE terms USING fts5vocab (texts, instance);"""
    )
    connection.execute("INSERT INTO texts VALUES (?)", (text,))
    found = connection.execute("SELECT term FROM terms ORDER BY offset").fetchall()
    connection.close()
    assert tokens(text) == [term for (term,) in found]
