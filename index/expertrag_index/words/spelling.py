"""Spelling correction: replaces unknown words of a query by known words one edit away.

An edit is a transposition of neighbouring letters, or one missing, extra or wrong letter. Four of
five misspelled words are one edit away (Damerau 1964). The first letter is never changed, because
it is hardly ever wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from expertrag_index.words.patterns import SPELLED_WORD
from expertrag_index.words.query_words import STOP_WORDS

_LETTERS_TO_SWAP, _LETTERS_TO_CHANGE = 5, 6
"""Fewest letters of a word to try transpositions, and to try the other edits: shorter words have
too many neighbours."""
_MOST_LETTERS = 24
_FEWEST_CHUNKS = 2  # a correction must occur in so many chunks: in one it may be misspelled
_MOST_WORDS = 4  # a query with more unknown words is in another language, or off-topic
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

Frequency = Callable[[str], int]
"""Returns how many chunks contain a word."""


def respell(query: str, frequency: Frequency) -> str:
    """Return a query with its misspelled words corrected, and everything else unchanged.

    In a capitalised word, which is likely a name, only transpositions are tried.
    """
    unknown = {
        word
        for word in dict.fromkeys(SPELLED_WORD.findall(query))
        if _LETTERS_TO_SWAP <= len(word) <= _MOST_LETTERS
        and word.lower() not in STOP_WORDS
        and not frequency(word.lower())
    }
    if not unknown or len(unknown) > _MOST_WORDS:
        return query
    known = {word: _nearest(word, frequency) for word in unknown}
    return SPELLED_WORD.sub(lambda match: known.get(match[0]) or match[0], query)


def _nearest(word: str, frequency: Frequency) -> str | None:
    """Return the most frequent word one edit away; transpositions take precedence."""
    kinds = [_swap_letters]
    if word.islower() and len(word) >= _LETTERS_TO_CHANGE:
        kinds.append(_change_letters)
    for edits in kinds:
        counts = {candidate: frequency(candidate) for candidate in edits(word.lower())}
        best = max(counts, key=lambda candidate: counts[candidate], default=word)
        if counts.get(best, 0) >= _FEWEST_CHUNKS:
            return best
    return None


def _swap_letters(word: str) -> Iterator[str]:
    for at in range(1, len(word) - 1):
        if word[at] != word[at + 1]:
            yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _change_letters(word: str) -> Iterator[str]:
    for at in range(1, len(word) + 1):
        left, right = word[:at], word[at:]
        if right:
            yield left + right[1:]
        for letter in _LETTERS:
            yield left + letter + right
            if right and letter != right[0]:
                yield left + letter + right[1:]
