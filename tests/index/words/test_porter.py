from __future__ import annotations

import re
import sqlite3
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postings_helper import example_texts

from expertrag_index.words.porter import stem

# letters that make endings, so that random words reach every rule
ENDINGS = "ational tional enci izer logi bli iveness iviti ical ative ement ion ed ing eed sses ies"


def stems_of_sqlite(words: list[str]) -> dict[str, str]:
    """Stem words by the tokenizer of FTS5."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        """CREATE VIRTUAL TABLE texts USING fts5 (text, tokenize = 'porter unicode61');
        CREATE VIRTUAL TABLE terms USING fts5vocab (texts, instance);"""
    )
    connection.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", enumerate(words))
    found = connection.execute("SELECT doc, term FROM terms").fetchall()
    connection.close()
    return {words[doc]: term for doc, term in found}


def test_stems_of_the_example_documents_are_those_of_sqlite() -> None:
    found = (re.findall("[a-z0-9]+", text.lower()) for text in example_texts())
    words = sorted(set(chain.from_iterable(found)))
    assert len(words) > 10_000
    assert {word: stem(word) for word in words} == stems_of_sqlite(words)


@given(
    st.lists(
        st.builds(
            lambda start, middle, end: start + middle + end,
            st.text("abcelnstuvyzé", max_size=6),
            st.sampled_from(["", "", *ENDINGS.split()]),
            st.sampled_from(["", "e", "s", "ll", *ENDINGS.split()]),
        ).filter(str.isalpha),
        min_size=1,
        max_size=50,
        unique=True,
    )
)
def test_stems_of_random_words_are_those_of_sqlite(words: list[str]) -> None:
    words = [word.replace("é", "ß") for word in words]  # a letter of two bytes that is kept
    assert {word: stem(word) for word in words} == stems_of_sqlite(words)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("hopping", "hop"),
        ("hoping", "hope"),
        ("relational", "relat"),
        ("technology", "technolog"),
        ("possibly", "possibl"),
        ("controlling", "control"),
        ("sky", "sky"),
        ("is", "is"),
        ("a" * 62 + "ing", "a" * 62 + "ing"),
    ],
)
def test_known_stems(word: str, expected: str) -> None:
    assert stem(word) == expected
