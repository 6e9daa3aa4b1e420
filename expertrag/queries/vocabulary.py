"""Words of a question that are about the asking, not about the documents, in four languages."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from expertrag_index.words.porter import stem

_LEAST_LETTERS = 5
"""Letters of a word that may have a typing error."""

_WORD = re.compile(r"[^\W_]+(?:['\u2019.&/-][^\W_]+)*", re.UNICODE)

_ASKING = frozenset(Path(__file__).with_name("asking_words.txt").read_text("utf-8").split())
"""Words that ask. A question is understood if all of its other words are linked."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a question; ``start`` and ``end`` are character offsets."""

    text: str
    start: int
    end: int

    @property
    def folded(self) -> str:
        """The word in lower case, without accents."""
        return fold(self.text)

    @property
    def asks(self) -> bool:
        """Whether the word is about the asking."""
        return asks(self.text.casefold()) or asks(self.folded)


@functools.lru_cache(maxsize=4096)
def asks(word: str) -> bool:
    """Return whether a word in lower case is about the asking, if need be with a typing error."""
    return word in _ASKING or correct(word, _ASKING) is not None


@functools.lru_cache(maxsize=4096)
def correct(word: str, vocabulary: frozenset[str]) -> str | None:
    """Return the known word that a word in lower case is with a typing error; None for others.

    Letters that are swapped, doubled or left out are corrected. A changed letter is not: it often
    makes another word.
    """
    if word in vocabulary or len(word) < _LEAST_LETTERS - 1:
        return None
    pairs = range(len(word) - 1)
    swapped = (word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in pairs)
    single = (word[:at] + word[at + 1 :] for at in pairs if word[at] == word[at + 1])
    known = (form for form in chain(swapped, single) if form in vocabulary)
    lacking = _without_letter(vocabulary).get(word)
    forms = chain(known, [lacking] if lacking else [])
    return next((form for form in forms if len(form) >= _LEAST_LETTERS), None)


@functools.cache
def _without_letter(vocabulary: frozenset[str]) -> Mapping[str, str]:
    """Return each known word by what is left of it without one of its letters."""
    return {
        known[:at] + known[at + 1 :]: known
        for known in sorted(vocabulary, reverse=True)
        if len(known) >= _LEAST_LETTERS
        for at in range(len(known))
    }


def correct_words(question: str, vocabulary: frozenset[str]) -> str:
    """Return a question with typing errors corrected, of asking words and of a vocabulary."""

    def write(match: re.Match[str]) -> str:
        word = match[0]
        if word in _ASKING or word in vocabulary:
            return word
        return correct(word, _ASKING) or correct(word, vocabulary) or word

    return _WORD.sub(write, question)


def words_of(text: str) -> list[Word]:
    """Split a text into words."""
    return [Word(match[0], match.start(), match.end()) for match in _WORD.finditer(text)]


@functools.lru_cache(maxsize=1 << 16)
def fold(text: str) -> str:
    """Return a text in lower case, without accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


@functools.lru_cache(maxsize=1 << 16)
def same_word(first: str, second: str) -> bool:
    """Return whether two folded words are one: the same stem, an inflection, or a typing error."""
    first, second = _singular(first), _singular(second)
    if first == second or stem(first) == stem(second):
        return True
    shorter, longer = sorted((first, second), key=len)
    if len(shorter) >= 4 and longer.startswith(shorter) and len(longer) - len(shorter) <= 3:
        return True
    if len(shorter) < 5 or any(map(str.isdigit, first + second)):
        return False
    if (
        len(shorter) >= 6
        and longer[: len(shorter) - 1] == shorter[:-1]
        and len(longer) - len(shorter) <= 2
    ):
        return True  # "renew" and "renewal", "category" and "categories"
    return _differ_by_one(shorter, longer) or (len(shorter) >= 6 and _is_swap(shorter, longer))


def _singular(word: str) -> str:
    """Return "craftsperson" for "craftspeople", and "craftsman" for "craftsmen"."""
    return re.sub(r"people$", "person", re.sub(r"(?<=[a-z]{2})men$", "man", word))


def _differ_by_one(shorter: str, longer: str) -> bool:
    """Return whether one letter was added, left out or changed."""
    if len(longer) - len(shorter) > 1:
        return False
    at = next(
        (i for i, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter)
    )
    if len(shorter) == len(longer):
        return shorter[at + 1 :] == longer[at + 1 :]
    return shorter[at:] == longer[at + 1 :]


def _is_swap(first: str, second: str) -> bool:
    """Return whether two neighbouring letters are swapped."""
    if len(first) != len(second):
        return False
    at = next((i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b), None)
    if at is None or at + 1 >= len(first):
        return False
    swapped = first[:at] + first[at + 1] + first[at] + first[at + 2 :]
    return swapped == second
