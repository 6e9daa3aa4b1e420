"""How a text becomes the terms of the full-text index: the one place that knows.

Letters and digits of any script are words (``patterns.TERM``); case is folded, and Latin and Greek
letters lose their diacritics. What a term is depends on the script of the word, and of a Latin word
on the language of its text:

- English, and text of unknown language: the stem (``porter``).
- Another language that ``stems`` knows: the stem of that language, after its code: ``de/frist``.
  Each language so has a vocabulary of its own. Words with digits are the same in all of them.
- Scripts without spaces: overlapping n-grams.
- Other scripts: the stem, if the script tells the language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from expertrag_index.words.patterns import SCRIPTS, SIGNS
from expertrag_index.words.porter import stem
from expertrag_index.words.stems import stem_in

ANALYSIS_VERSION = 1
"""Changes with the terms of any text; postings of another version are built again."""

_MOST_WORDS = 1 << 19
"""Words whose terms are kept: 90 MB, if a store has so many."""

_MARKS = range(0x300, 0x370)
"""Combining diacritics; the vowel signs of other scripts are not among them."""

_POINTS = (range(0x0591, 0x05C8), range(0x0610, 0x0620), range(0x064B, 0x0660))
"""Points of Hebrew and Arabic, which most texts leave out."""

_LATIN_OR_GREEK = range(0x400)
"""Letters that lose their diacritics; in other scripts they make another letter: и, й."""

_LAST_LATIN = "\u036f"
"""The last letter that may be Latin when it is folded: later ones have lost their diacritics."""

_PAIRS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_TRIPLES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
UNSPACED = re.compile(f"(?P<pairs>[{_PAIRS}]+)|[{_TRIPLES}]+")
"""Chinese, Japanese and Korean, whose terms are bigrams; Thai, Lao, Burmese and Khmer, whose terms
are trigrams. Measured on XQuAD, see lab/results/languages.json."""


class _FoldTable(dict[int, str | None]):
    """For ``str.translate``, filled at first use: letters folded, everything else a space."""

    def __missing__(self, code: int) -> str | None:
        dropped = code in _MARKS or any(code in points for points in _POINTS)
        folded = self[code] = None if dropped else _fold(chr(code))
        return folded


class _Terms(dict[str, str]):
    """The terms of words of a language, joined by spaces and computed at first use.

    They are forgotten when there are too many.
    """

    def __init__(self, language: str) -> None:
        super().__init__()
        self._language = language

    def __missing__(self, word: str) -> str:
        if len(self) >= _MOST_WORDS:
            self.clear()
        result = self[word] = " ".join(_terms_of(word, self._language))
        return result


_fold_table = _FoldTable()
_terms_by_language: dict[str, _Terms] = {}


def tokens(text: str, language: str = "") -> list[str]:
    """Return the terms of a text in order, with repetitions.

    :param language: one of ``stems.LANGUAGES``; another code or none for English.
    """
    known = _terms_by_language.get(language) or _terms_by_language.setdefault(
        language, _Terms(language)
    )
    return " ".join(map(known.__getitem__, text.translate(_fold_table).split())).split()


def split_unspaced(word: str) -> Iterator[str]:
    """Yield the n-grams of the runs in scripts without spaces, and what is between them."""
    end = 0
    for match in UNSPACED.finditer(word):
        if match.start() > end:
            yield word[end : match.start()]
        run, end = match[0], match.end()
        size = 2 if match["pairs"] else 3
        yield from (run[at : at + size] for at in range(max(1, len(run) - size + 1)))
    if end < len(word):
        yield word[end:]


def _terms_of(word: str, language: str) -> Iterator[str]:
    if word.isascii():
        yield _latin(word, language)
        return
    for part in split_unspaced(word):
        if UNSPACED.match(part):
            yield part
            continue
        script = next((code for code, letters in SCRIPTS.items() if ord(part[0]) in letters), "")
        if script or part[0] > _LAST_LATIN:
            yield stem_in(script, part) or part
        else:
            yield _latin(part, language)


def _latin(word: str, language: str) -> str:
    own = "" if any(map(str.isdigit, word)) else stem_in(language, word)
    return f"{language}/{own}" if own else stem(word)


def _fold(character: str) -> str:
    """Return a letter in small letters without diacritics, if that is one character."""
    if not character.isalnum() and character not in SIGNS:
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
