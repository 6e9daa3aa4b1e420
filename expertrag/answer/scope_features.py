"""Features of a question's wording: hashed words, pairs of words, and character n-grams.

No feature belongs to a language. The first words carry their position as well, since most languages
ask with them. Case does not count, every digit reads as 0, and a word with diacritics counts with
and without them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise
from zlib import crc32

BUCKETS = 1 << 15

_FIRST_WORDS, _LAST_WORDS = 32, 16
_SHORTEST, _LONGEST = 2, 5  # lengths of the character n-grams
_LEADING = 2  # words whose features also count with their position
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")


def words_of(question: str) -> list[str]:
    """Return the case-folded words; of a long text the first and the last ones."""
    words = _WORD.findall(_DIGIT.sub("0", unicodedata.normalize("NFC", question).casefold()))
    if len(words) <= _FIRST_WORDS + _LAST_WORDS:
        return words
    return [*words[:_FIRST_WORDS], *words[-_LAST_WORDS:]]


def word_buckets(words: list[str]) -> list[int]:
    """Return the buckets of words and of pairs: neighbours, with a first word, around an ending."""
    return _buckets(_word_features([fold_diacritics(word) for word in words]))


def letter_buckets(words: list[str]) -> list[int]:
    """Return the buckets of character n-grams, which survive a typing error."""
    return _buckets(_letter_features(words))


def fold_diacritics(word: str) -> str:
    """Return a word without diacritics."""
    if word.isascii():
        return word
    letters = unicodedata.normalize("NFKD", word)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _word_features(words: list[str]) -> Iterator[str]:
    padded = ["^", *words, "$"]
    for before, after in pairwise(padded):
        yield f"{after} "
        yield f"{before} {after}"
    for before, between, after in zip(padded, padded[1:], padded[2:], strict=False):
        yield f"{before}  {between[-2:]} {after}"
    for position, leading in enumerate(words[:_LEADING]):
        yield f"{position} {leading} "
        for later in words[position + 2 :]:
            yield f"{leading}  {later}"


def _letter_features(words: list[str]) -> Iterator[str]:
    for position, word in enumerate(words):
        folded = fold_diacritics(word)
        for spelling in {folded, word}:
            for gram in _grams(f"<{spelling}>"):
                yield gram
                if position < _LEADING:
                    yield f"{position}{gram}"


def _grams(text: str) -> Iterator[str]:
    for length in range(_SHORTEST, _LONGEST + 1):
        for start in range(len(text) - length + 1):
            yield text[start : start + length]


def _buckets(features: Iterable[str]) -> list[int]:
    return list({crc32(feature.encode()) & (BUCKETS - 1) for feature in features})
