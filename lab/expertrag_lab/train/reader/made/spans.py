"""Spans of a sentence that a question can ask for: numbers with units, dates, names, code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from expertrag_index.words.query_words import STOP_WORDS


class AnswerKind(Enum):
    """Type of a span; it determines the question word."""

    NUMBER = "number"
    DATE = "date"
    CODE = "code"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a sentence. ``text`` is the answer; ``unit`` is the unit of a number."""

    start: int
    end: int
    text: str
    kind: AnswerKind
    unit: str = ""


_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = re.compile(
    rf"\b(?:\d{{1,2}} (?:{_MONTH})(?:,? \d{{4}})?|(?:{_MONTH}) \d{{1,2}}(?:st|nd|rd|th)?"
    rf"(?:,? \d{{4}})?|(?:{_MONTH}) \d{{4}}|\d{{4}}-\d\d-\d\d|(?<=\b[Ii]n )(?:1[0-9]|20)\d\d)\b"
)
_QUANTITY = (
    r"\d[\d,]*(?:\.\d+)?|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|"
    "fifty|hundred"
)
_NUMBER = re.compile(
    r"(?<![\w.,±\u2013-])(?<![±\u2013-] )(?!(?:1[5-9]|20)\d\d )"
    r"(?:(?:at least|at most|up to|about|exactly|more than|fewer than|less than|only|over|under) )?"
    rf"(?:{_QUANTITY})(?: (?:million|billion|thousand))?"
    r"(?: (?P<unit>(?:[a-z][a-z-]+ )?[a-z][a-z-]*[^\Wius]s)\b)"
)
_NO_UNIT_WORDS = "has does less means times ways cases kinds things"
_NO_UNIT = STOP_WORDS | frozenset(_NO_UNIT_WORDS.split())
_QUOTED = re.compile(r"`([^`]+)`|(?<!\w)\"([^\"]{2,40})\"(?!\w)|“([^”]{2,40})”")
_IDENTIFIER = re.compile(
    r"(?<![\w.$/`\"'-])(?:[A-Za-z]\w*_\w+|[a-z]+[A-Z]\w*|--?[a-z][\w-]+)(?:\(\))?(?![\w/`\"'=-])"
)
_NAME = re.compile(r"(?<![\w.\"“`'(/-])(?:[A-Z][\w'’-]*\.? ){0,3}[A-Z][\w'’-]+(?![\w\"”`'/=])")


def spans_of(sentence: str) -> Iterator[Span]:
    """Yield the spans that occur once in a sentence; they do not overlap."""
    taken: list[Span] = []
    for span in (*_dates(sentence), *_numbers(sentence), *_code(sentence), *_names(sentence)):
        if any(span.start < other.end and other.start < span.end for other in taken):
            continue
        taken.append(span)
        if len(re.findall(rf"(?<!\w){re.escape(span.text)}(?!\w)", sentence)) == 1:
            yield span


def _dates(sentence: str) -> Iterator[Span]:
    for match in _DATE.finditer(sentence):
        yield Span(*match.span(), match[0], AnswerKind.DATE)


def _numbers(sentence: str) -> Iterator[Span]:
    for match in _NUMBER.finditer(sentence):
        if _NO_UNIT.isdisjoint(match["unit"].split()):
            yield Span(*match.span(), match[0], AnswerKind.NUMBER, match["unit"])


def _code(sentence: str) -> Iterator[Span]:
    for match in _QUOTED.finditer(sentence):
        kind = AnswerKind.CODE if match[1] else AnswerKind.NAME
        yield Span(*match.span(), next(filter(None, match.groups())), kind)
    for match in _IDENTIFIER.finditer(sentence):
        yield Span(*match.span(), match[0], AnswerKind.CODE)


def _names(sentence: str) -> Iterator[Span]:
    for match in _NAME.finditer(sentence):
        words = match[0].split()
        if STOP_WORDS.isdisjoint(match[0].lower().split()) and not words[0].endswith("ing"):
            kind = AnswerKind.CODE if match[0].isupper() else AnswerKind.NAME
            yield Span(*match.span(), match[0], kind)
