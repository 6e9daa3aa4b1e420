"""Rule-based sentence boundaries, for splitting documents and for citing passages in answers.

A small rule set is used instead of a trained splitter. It needs no model, runs at tens of MB per
second, and never changes under an existing store, whose chunks depend on it.
"""

from __future__ import annotations

import re

# Quantifiers are possessive and a stop may not follow another one, so that a megabyte of dots
# costs one pass, not one pass per dot.
_STOPS = r"[.!?\u2026\u061f\u06d4\u0964]"  # with ellipsis, Arabic and Devanagari stops
_WIDE_STOPS = r"[\u3002\uff01\uff1f\uff61]"  # of Chinese and Japanese, no space follows them
_CLOSERS = r"""["'\u201d\u2019\u00bb\u300d\u300f\uff09)\]]*+"""
# A set of characters comes first, because re looks for one of these ten times as fast as it tries
# alternatives; these then look back at it.
_BOUNDARY = re.compile(
    rf"""
    [.!?\u2026\u061f\u06d4\u0964\u3002\uff01\uff1f\uff61\f\n\u2028\u2029]
    (?:
    (?<=[a-z]{{5}}\.)(?<!pprox\.)(?<!assoc\.)(?<!essrs\.)(?=\s)  # a word: most sentences
    | (?<={_STOPS})(?<!{_STOPS}{{2}})(?P<stops>{_STOPS}*+){_CLOSERS}(?:\[\d{{1,3}}\])*+(?=\s|\Z)
    | (?<={_WIDE_STOPS}){_WIDE_STOPS}*+{_CLOSERS}
    | (?<=[\f\u2028\u2029])
    | (?<=\n)(?:[^\S\n]*+\n)++                                 # a blank line
    | (?<=\n)(?=[^\S\n]*+(?:\#|(?:[-*+\u2022]|\d{{1,3}}[.)])[^\S\n]))  # a heading, or a list's item
    )
    """,
    re.VERBOSE,
)
_TITLES = "capt|col|dr|gen|gov|hon|lt|messrs|mr|mrs|ms|mt|prof|rep|rev|sen|sgt|st"
_SHORT_FORMS = "al|approx|assoc|ca|cf|corp|dept|eg|esp|est|ie|inc|incl|ltd|resp|univ|viz|vs"
_REFERENCES = "art|ch|chap|eq|eqs|fig|figs|no|nos|p|para|pp|ref|refs|sec|sect|tab|vol|vols"
_MONTHS = "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
_ABBREVIATION = re.compile(rf"{_TITLES}|{_SHORT_FORMS}|(?:[^\W\d_]\.)+[^\W\d_]", re.IGNORECASE)
_BEFORE_NUMBER = re.compile(rf"{_REFERENCES}|{_MONTHS}", re.IGNORECASE)
_MAY_END = re.compile(r"[ap]\.m|etc", re.IGNORECASE)
_ENUMERATOR = re.compile(r"(?:\d{1,3}|[^\W\d_])(?:\.\d{1,3})*")
_OPENERS = "([\"'\u201c\u2018"
_LONGEST_ABBREVIATION = 24
_SHORTEST_FULL_WORD = 5


def spans(text: str) -> list[tuple[int, int]]:
    """Find the sentences of a text.

    :param text: any text; blank lines, headings and list items also end a sentence.
    :return: half-open character ranges in order, without surrounding white space and without
        overlap; every character that is not white space is in exactly one.
    """
    result: list[tuple[int, int]] = []
    start = 0
    for match in _BOUNDARY.finditer(text):
        if match["stops"] is None or _ends_sentence(text, start, match):
            _append_trimmed(result, text, start, match.end())
            start = match.end()
    _append_trimmed(result, text, start, len(text))
    return result


def _append_trimmed(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    start = end - len(piece.lstrip())
    end = start + len(piece.strip())
    if start < end:
        spans.append((start, end))


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    """Distinguish a full stop from the dot of an abbreviation, an initial or an enumerator."""
    rest = text[match.end() : match.end() + 32].lstrip()
    if not rest:
        return True
    lower_case_follows = rest[0].islower()
    dot = match.start()
    if match["stops"] or text[dot] != ".":
        return not lower_case_follows
    words = text[max(start, dot - _LONGEST_ABBREVIATION) : dot].split()
    word = words[-1].lstrip(_OPENERS) if words else ""
    if len(words) == 1 and dot - start <= _LONGEST_ABBREVIATION and _ENUMERATOR.fullmatch(word):
        return False  # "2." starts its sentence
    if _BEFORE_NUMBER.fullmatch(word):
        return not (rest[0].isdigit() or lower_case_follows)
    if len(word) == 1 and word.isupper():
        return False  # an initial
    if _ABBREVIATION.fullmatch(word) and not _MAY_END.fullmatch(word):
        return False
    return not lower_case_follows or len(word) >= _SHORTEST_FULL_WORD
