"""What counts as a word, by what the words are for: one pattern each.

A letter is one of any script. The apostrophes are the ones on keyboards and in typeset text.
"""

from __future__ import annotations

import re
import unicodedata

_LETTER = r"[^\W\d_]"
_JOINT = "['\u2019-]"

WORD = re.compile(r"\w+")
"""Letters, digits and underscores, to count and compare."""

JOINED_WORD = re.compile(rf"\w+(?:{_JOINT}\w+)*")
"""The same with apostrophes and hyphens inside, as a reader counts words: "what's", "x-ray"."""

SIGNS = "".join(
    chr(code) for code in range(0x300, 0x1D00) if unicodedata.category(chr(code)) in ("Mn", "Mc")
)
"""Marks that belong to the letter before them: diacritics, and the vowel signs of many scripts."""

TERM = re.compile(rf"(?:[^\W_]|[{SIGNS}])+")
"""Letters with their signs, and digits: what the full-text index of a store takes for a word."""

LETTERS = re.compile(rf"{_LETTER}+")
"""Letters that stand together, even next to digits: statistics of a language."""

SPELLED_WORD = re.compile(rf"\b{_LETTER}+\b")
"""Letters alone, so nothing of "mp3" and "max_size": what can be misspelled."""

VOCABULARY_WORD = re.compile(rf"{_LETTER}(?:{_LETTER}|{_JOINT}(?={_LETTER}))+")
"""Two letters or more, with apostrophes and hyphens inside: the words that a router stores."""
