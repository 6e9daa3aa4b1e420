from __future__ import annotations

import sqlite3
import sys
import unicodedata

import pytest

from expertrag_index.words.analysis import tokens
from expertrag_index.words.patterns import TERM


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("The running_dogs, twice: RUNNING!", ["the", "run", "dog", "twice", "run"]),
        ("x-ray mp3 3.14 m²", ["x", "rai", "mp3", "3", "14", "m²"]),
        ("Café Việt naïve ΟΔΟΣ ὁδός", ["cafe", "viet", "naiv", "οδοσ", "οδοσ"]),
        ("музей Straße İstanbul", ["музей", "straß", "istanbul"]),
        ("日本語 の", ["日本語", "の"]),
        ("a\x00b\ud800c\ue000d", ["a", "b", "c", "d"]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_composed_and_decomposed_letters_are_the_same_term() -> None:
    text = "Ångström Việt naïve ά"
    assert tokens(unicodedata.normalize("NFD", text)) == tokens(text)


def test_every_letter_of_unicode_is_one_term() -> None:
    """A word of a query is one term, so that no phrases need to be searched."""
    letters = [chr(code) for code in range(sys.maxunicode + 1) if TERM.fullmatch(chr(code))]
    several = [letter for letter in letters if len(tokens(f"b{letter.lower()}b")) != 1]
    assert len(letters) > 100_000
    assert several == []


def test_terms_of_latin_and_cyrillic_texts_are_those_of_sqlite() -> None:
    text = "Crème brûlée, Łódź & Fjällräven: Щёлково, Šport; ½ of ßtraßen İ ŉ ǅ 100\u00a0%"
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        """CREATE VIRTUAL TABLE texts USING fts5 (text, tokenize = 'porter unicode61');
        CREATE VIRTUAL TABLE terms USING fts5vocab (texts, instance);"""
    )
    connection.execute("INSERT INTO texts VALUES (?)", (text,))
    found = connection.execute("SELECT term FROM terms ORDER BY offset").fetchall()
    connection.close()
    assert tokens(text) == [term for (term,) in found]
