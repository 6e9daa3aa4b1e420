"""How a text becomes the terms of the full-text index: the one place that knows.

Letters and digits of any script are words (``words.TERM``); case is folded, diacritics are removed,
English endings are stripped (``porter``). The terms equal the ones of SQLite's tokenizer
``porter unicode61``, with three differences. Letters newer than Unicode 6.1 are letters, and
characters for private use are not. Of a Latin letter all diacritics are removed, not only a single
one, and the same holds for a Greek one.
"""

from __future__ import annotations

import unicodedata

from expertrag_index.words.porter import stem

_MOST_STEMS = 1 << 19
"""Words whose stems are kept: 90 MB, if a store has so many."""

_MARKS = range(0x300, 0x370)
"""Combining diacritics; the vowel signs of other scripts are not among them."""

_LATIN_OR_GREEK = range(0x400)
"""Letters that lose their diacritics; in other scripts they make another letter: и, й."""


class _FoldTable(dict[int, str | None]):
    """For ``str.translate``, filled at first use: letters folded, everything else a space."""

    def __missing__(self, code: int) -> str | None:
        folded = self[code] = None if code in _MARKS else _fold(chr(code))
        return folded


class _Stems(dict[str, str]):
    """Stems by word, computed at first use; emptied when there are too many."""

    def __missing__(self, word: str) -> str:
        if len(self) >= _MOST_STEMS:
            self.clear()
        result = self[word] = stem(word)
        return result


_fold_table = _FoldTable()
_stem_of = _Stems().__getitem__


def tokens(text: str) -> list[str]:
    """Return the terms of a text in order, with repetitions."""
    return list(map(_stem_of, text.translate(_fold_table).split()))


def _fold(character: str) -> str:
    """Return a letter in small letters without diacritics, if that is one character."""
    if not character.isalnum():
        return " "
    case = character.casefold()
    if len(case) > 1:
        case = character.lower()
    parts = unicodedata.normalize("NFD", case)
    base = parts[0]
    latin_or_greek = ord(base) in _LATIN_OR_GREEK and base.isalnum()
    if latin_or_greek and all(ord(mark) in _MARKS for mark in parts[1:]):
        return base
    return case
