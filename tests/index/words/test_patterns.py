"""The patterns of words, each on the same text."""

from __future__ import annotations

import re

import pytest

from expertrag_index.words import patterns as words

TEXT = "It’s a half-life of max_size, mp3 - H2O’s O'"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (words.WORD, "It s a half life of max_size mp3 H2O s O"),
        (words.JOINED_WORD, "It’s a half-life of max_size mp3 H2O’s O"),
        (words.TERM, "It s a half life of max size mp3 H2O s O"),
        (words.LETTERS, "It s a half life of max size mp H O s O"),
        (words.SPELLED_WORD, "It s a half life of s O"),
        (words.VOCABULARY_WORD, "It’s half-life of max size mp O’s"),
    ],
)
def test_words_of_a_text(pattern: re.Pattern[str], found: str) -> None:
    assert pattern.findall(TEXT) == found.split()
