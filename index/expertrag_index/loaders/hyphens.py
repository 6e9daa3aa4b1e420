"""Joins words that a line breaks: ``har-⏎bour`` is one word, ``linux-⏎gnu`` keeps its hyphen.

The rest of the document tells them apart: it mostly has the same word elsewhere inside of a line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_BREAK = re.compile(r"(?<=([^\W_]))([-\xad])\n(?=([^\W_]))")
_PART = r"[^\W_]+"
_BEFORE = re.compile(rf"{_PART}$")
_AFTER = re.compile(_PART)
_WORD = re.compile(rf"{_PART}(?:-{_PART})*")
_LONGEST_WORD = 60


def join_broken_words(texts: Sequence[str]) -> list[str]:
    """Return the texts of a document with the words joined that the ends of lines break."""
    if not any(_BREAK.search(text) for text in texts):
        return list(texts)
    known: Counter[str] = Counter()
    for text in texts:
        for word in _WORD.findall(text.lower()):
            parts = word.split("-")
            known.update(parts)
            known.update(map("-".join, zip(parts, parts[1:], strict=False)))

    def joined(match: re.Match[str]) -> str:
        text, (start, end) = match.string, match.span()
        before = _BEFORE.search(text[max(start - _LONGEST_WORD, 0) : start].lower())
        after = _AFTER.match(text[end : end + _LONGEST_WORD].lower())
        if before is None or after is None:
            return match[0]
        whole, compound = (known[f"{before[0]}{by}{after[0]}"] for by in ("", "-"))
        if match[2] == "-" and compound > whole:
            return "-"
        is_letters = match[1].isalpha() and match[3].islower()
        return "" if is_letters else match[0]

    return [_BREAK.sub(joined, text) for text in texts]
