"""What counts as a word, by what the words are for: one pattern each.

A letter is one of any script. The apostrophes are the ones on keyboards and in typeset text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

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

SCRIPTS: Mapping[str, range] = {
    "ar": range(0x0600, 0x0700),
    "el": range(0x0370, 0x0400),
    "he": range(0x0590, 0x0600),
    "hi": range(0x0900, 0x0980),
    "ja": range(0x3040, 0x3100),
    "ko": range(0xAC00, 0xD7B0),
    "ru": range(0x0400, 0x0530),
    "th": range(0x0E00, 0x0E80),
    "zh": range(0x3400, 0xA000),
}
"""Letters of scripts other than Latin, by the largest language that is written in each."""
