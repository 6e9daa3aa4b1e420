"""Texts as bags of normalized words, for grounding."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from expertrag_index.query_words import STOP_WORDS

_WORD = re.compile(
    r"(?<![\w-])--?[A-Za-z][\w-]*"  # an option, "--force"
    r"|[^\W_]+(?:_+[^\W_]+)+"  # a code identifier, "max_connections"
    r"|\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)*|[^\W_]+"
)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_VERDICT = re.compile(r"\W*(yes|no)\b", re.I)
_NEGATIONS = frozenset(
    {"no", "not", "never", "none", "nor", "neither", "without", "cannot", "nothing", "nobody"}
)
_NEGATED_WORDS = 3  # content words to the right of a negation that it applies to
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMERALS = {word: str(value) for value, word in enumerate(_NUMBER_WORDS.split())}
_FRAME = """according also although answer based document known may might mentioned must named
    passage passages per provided question shall since upon whether within yes yet"""
_FUNCTION_WORDS = STOP_WORDS.union(_FRAME.split())
# Longest first; a stem has at least three letters.
_SUFFIXES = (
    ("ations", "at"), ("ation", "at"), ("ingly", ""), ("edly", ""), ("ies", "y"), ("ing", ""),
    ("ied", "y"), ("ers", ""), ("ed", ""), ("es", ""), ("ly", ""), ("er", ""), ("s", ""), ("e", ""),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of a text, without order.

    ``words``: stems of its content words. ``exact``: stems that must match exactly: numbers,
    options, code identifiers and, within a sentence, capitalised names. ``negated``: words in the
    scope of a negation. ``written``: first spelling of each stem. ``verdict``: "yes" or "no" if the
    text begins with it.
    """

    words: frozenset[str]
    exact: frozenset[str]
    negated: frozenset[str]
    written: Mapping[str, str] = field(default_factory=dict, compare=False)
    verdict: str = ""


def wording(text: str) -> Wording:
    """Reduce a text to its words."""
    written: dict[str, str] = {}
    exact: set[str] = set()
    negated: set[str] = set()
    reach = 0
    for position, match in enumerate(_WORD.finditer(text)):
        word = match[0]
        lower = word.lower()
        if lower in _NEGATIONS or lower.endswith(("n't", "n\u2019t")):
            reach = _NEGATED_WORDS
            continue
        if lower in _FUNCTION_WORDS:
            continue
        stem = _stem(lower)
        written.setdefault(stem, word)
        for part in filter(None, lower.split("_")) if "_" in word else ():
            written.setdefault(_stem(part), part)
        if _is_code(word) or word[0].isdigit() or (word[0].isupper() and position):
            exact.add(stem)
        if reach:
            negated.add(stem)
            reach -= 1
    verdict = _VERDICT.match(text)
    return Wording(
        frozenset(written),
        frozenset(exact),
        frozenset(negated),
        written,
        verdict[1].lower() if verdict else "",
    )


def union(parts: Iterable[Wording]) -> Wording:
    """Return the wording of several texts taken together."""
    held = tuple(parts)
    return Wording(
        frozenset().union(*(part.words for part in held)),
        frozenset().union(*(part.exact for part in held)),
        frozenset().union(*(part.negated for part in held)),
    )


def _is_code(word: str) -> bool:
    """Return whether a word is an option or a code identifier, which has only one spelling."""
    return word[0] == "-" or "_" in word


@functools.lru_cache(maxsize=16_384)
def _stem(word: str) -> str:
    """Strip inflectional endings, and normalize numbers."""
    if _is_code(word):
        return word
    if word[0].isdigit():
        return _THOUSANDS.sub("", word)
    if word in _NUMERALS:
        return _NUMERALS[word]
    word = word.removesuffix("'s").removesuffix("\u2019s")
    for suffix, replacement in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)] + replacement
    return word
