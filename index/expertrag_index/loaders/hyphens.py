"""Joins words that a line breaks: ``har-⏎bour`` is one word, ``linux-⏎gnu`` keeps its hyphen.

The rest of the document tells them apart: it mostly has the same word elsewhere inside of a line.
If not, two words that it has by themselves are a compound, and others are one word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

_BREAK = re.compile(r"(?<=([^\W_]))([-\xad])\n(?=([^\W_]))")
_PART = r"[^\W_]+"
_BEFORE = re.compile(rf"{_PART}$")
_AFTER = re.compile(_PART)
_WORD = re.compile(rf"{_PART}(?:-{_PART})*")
_BROKEN = re.compile(rf"(?<![^\W_]){_PART}+[-\xad]\n{_PART}+")
_LONGEST_WORD = 60


def join_broken_words(texts: Sequence[str]) -> list[str]:
    """Return the texts of a document with the words joined that the ends of lines break."""
    if not any(_BREAK.search(text) for text in texts):
        return list(texts)
    known = _count_words(texts)

    def join(match: re.Match[str]) -> str:
        text, (start, end) = match.string, match.span()
        before = _BEFORE.search(text[max(start - _LONGEST_WORD, 0) : start].lower())
        after = _AFTER.match(text[end : end + _LONGEST_WORD].lower())
        if before is None or after is None:
            return match[0]
        whole, compound = (known[f"{before[0]}{by}{after[0]}"] for by in ("", "-"))
        in_letters = match[1].isalpha() and match[3].isalpha()
        if match[2] == "-" and compound > whole:
            return "-"
        if match[2] == "-" and not whole and in_letters and match[3].islower():
            return "-" if known[before[0]] and known[after[0]] else ""
        return "" if in_letters and (whole or match[3].islower()) else match[0]

    return [_BREAK.sub(join, text) for text in texts]


def _count_words(texts: Sequence[str]) -> Counter[str]:
    """Count words that no line breaks, and pairs of them with a hyphen between."""
    known: Counter[str] = Counter()
    for text in texts:
        words = _WORD.findall(_BROKEN.sub(" ", text.lower()))
        known.update(words)
        for parts in (word.split("-") for word in words if "-" in word):
            known.update(parts)
            if len(parts) > 2:  # a word of two parts is such a pair itself
                known.update(map("-".join, pairwise(parts)))
    return known
