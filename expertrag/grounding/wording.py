"""Texts as bags of normalized words, for grounding."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from expertrag.grounding.values import Unit, Value, may_begin_value, value_at, with_units
from expertrag_index.words.analysis import UNSPACED, split_unspaced
from expertrag_index.words.language import FUNCTION_WORDS
from expertrag_index.words.query_words import STOP_WORDS

_WORD = re.compile(
    rf"(?:{UNSPACED.pattern})|"
    # most words; those that go on after a stop, an underscore or a digit are below
    r"[^\W\d_]++(?:['\u2019][^\W\d_]++)*+(?!\.[A-Za-z_]|[_\d])"
    r"|\d+(?:[.,:]\d+)*(?!_)"
    r"|[A-Za-z_]\w+(?:\.[A-Za-z_]\w+)+"  # a dotted name, "push.default"
    r"|[^\W_]+(?:_+[^\W_]+)+"  # a code identifier, "max_connections"
    r"|\d+|[^\W\d_]+|[^\W_]+"
    r"|(?<![\w-])--?[A-Za-z][\w-]*"  # an option, "--force"
    r"|(?<![^\s\"'`(=:,\[])(?:~|\.{1,2})?(?:/[\w.+~-]*[\w+~])+"  # a path, "/etc/x.conf"
)
_ENOUGH = 2
"""Common words of a question in a text about it; half of fewer words."""
_FIRST = re.compile(r"\w")
_QUOTED = re.compile(r"`[^`\n]+`")
_VERDICT = re.compile(r"\W*(?:(yes|ja|oui|sí|да)\b|(no|nein|non|нет)(?!\s*\w))", re.I)
_ENGLISH_NEGATIONS = "no not never none nor neither without cannot nothing nobody"
_GERMAN_NEGATIONS = "nicht kein keine keinen keiner keinem nie niemals ohne"
_NEGATIONS = frozenset(f"{_ENGLISH_NEGATIONS} {_GERMAN_NEGATIONS}".split())
_NO_NEGATION = re.compile(
    r"(?:no|not) (?:later|earlier|sooner|more|less|fewer|longer|only|just|matter|doubt)\b"
    r"|without (?:delay|undue delay|further)\b|not until\b|no\.? ?\d",
    re.I,
)
_CONTRASTS = frozenset({"but", "except", "unless", "sondern", "aber"})  # end what is negated
_NEGATED_WORDS = 3  # content words to the right of a negation that it applies to
_CLAUSE_ENDS = re.compile(r"[,;:.!?()|\u2013\u2014\n]")
_FRAME = """according also although answer based document known may might mentioned must named
    passage passages per provided question shall since upon whether within yes yet
    ja nein oui non sí да нет"""
_FUNCTION_WORDS = STOP_WORDS.union(_FRAME.split())
_SHORT_FORM = re.compile(r"['\u2019](?:s|re|ve|ll|d|m)?\Z")
_MARKS = re.compile("[\u0300-\u036f]")  # diacritics
# Longest first; a stem has at least three letters. Porter's stemmer takes more words for the same.
_SUFFIXES = (
    ("ations", "at"), ("ation", "at"), ("ingly", ""), ("edly", ""), ("ies", "y"), ("ing", ""),
    ("ied", "y"), ("ers", ""), ("ed", ""), ("es", ""), ("ly", ""), ("er", ""), ("s", ""), ("e", ""),
)  # fmt: skip
_SPELLINGS = tuple(
    (re.compile(british), american)
    for british, american in (
        (r"(?<=\w{3})is(?=e[sdr]?\Z|ing\Z|ations?\Z)", "iz"),
        (r"(?<=\w{3})ys(?=e[sdr]?\Z|ing\Z)", "yz"),
        (r"(?<=\w{3})our(?=s?\Z|ed\Z|ing\Z|abl|ful|it)", "or"),
        (r"(?<=\w{2})tre(?=s?\Z)", "ter"),
        (r"(?<=\w{3})ogue(?=s?\Z)", "og"),
        (r"(?<=\w{3})enc(?=es?\Z)", "ens"),
    )
)


@dataclass(frozen=True, slots=True)
class Content:
    """What a text can support.

    ``holds``: its words, and more general ones: "30 days" supports "30". ``negated``: words in the
    scope of a negation; ``denied``: the first one of each. ``numbers``: those without a unit.
    """

    holds: frozenset[str] = frozenset()
    negated: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()

    def __or__(self, other: Content) -> Content:
        """Return the content of two texts taken together."""
        return Content(
            self.holds | other.holds,
            self.negated | other.negated,
            self.denied | other.denied,
            self.numbers | other.numbers,
        )


@dataclass(frozen=True, slots=True)
class Wording(Content):
    """The words of a text, without order.

    ``words``: stems of its content words, and its values. ``exact``: words that must match exactly:
    values, options, paths, code identifiers and, within a sentence, capitalised names. ``also``:
    other readings of a word. ``bare``: numbers that say the same as an amount where they have no
    unit. ``written``: first spelling of each word. ``verdict``: "yes" or "no" if the text begins
    with it.
    """

    words: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    bare: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    written: Mapping[str, str] = field(default_factory=dict, compare=False)
    verdict: str = ""

    def lacking_in(self, other: Content) -> frozenset[str]:
        """Return the words that another text does not support."""
        lacking = self.words - other.holds
        if not lacking or not (self.also or self.bare):
            return lacking
        return frozenset(word for word in lacking if not self._reads_otherwise(word, other))

    @property
    def values(self) -> frozenset[str]:
        """The exact words with a digit: amounts, dates, times, versions."""
        return frozenset(filter(is_value, self.exact))

    def has_value(self, value: str, other: Content) -> bool:
        """Return whether another text supports a value of this one."""
        return value in other.holds or self._reads_otherwise(value, other)

    def _reads_otherwise(self, word: str, other: Content) -> bool:
        """Return whether another text has a word in another reading, or without its unit."""
        readings, numbers = self.also.get(word, ()), self.bare.get(word, ())
        return not (other.holds.isdisjoint(readings) and other.numbers.isdisjoint(numbers))


def is_value(word: str) -> bool:
    """Return whether a word of a wording is a value: it has a digit."""
    return any(map(str.isdecimal, word))


def wording(text: str) -> Wording:
    """Reduce a text to its words."""
    reading = _Reading(text)
    add = reading.written.setdefault
    for match in _WORD.finditer(text):
        word = match[0]
        known = _look_up(word)
        if known is None:  # a function word
            continue
        if known.plain and not reading.alert and match.start() >= reading.end:
            add(known.stem, word)  # most words: this path halves the time
        else:
            reading.read(known, word, match.start())
    return reading.result()


def without_function_words(text: Wording, language: str) -> Wording:
    """Return a wording without the function words of a language other than English.

    :param language: a code of ``language.FUNCTION_WORDS``; for another, the wording is unchanged.
    """
    stems = _function_stems(language)
    if stems.isdisjoint(text.words):
        return text
    return replace(
        text,
        words=text.words - stems,
        exact=text.exact - stems,
        written={word: known for word, known in text.written.items() if word not in stems},
    )


@functools.lru_cache
def _function_stems(language: str) -> frozenset[str]:
    return frozenset(map(_stem, FUNCTION_WORDS.get(language, ())))


def with_column_units(text: Wording, units: Sequence[Unit], *, named: bool = False) -> Wording:
    """Return the wording of a text whose numbers may have one of these units.

    :param named: whether the column names them, so that its numbers have no other unit.
    """
    if not (units and text.numbers):
        return text
    holds = text.holds.union(with_units(text.numbers, units))
    numbers = frozenset() if named and any(unit.base for unit in units) else text.numbers
    return replace(text, holds=holds, numbers=numbers)


class _Known(NamedTuple):
    """What is known of a word without its text: its stem, and what it may be.

    ``plain``: nothing but a word in small letters. ``parts``: the words of a code identifier, which
    has only one spelling. ``grams``: the n-grams of a run in a script without spaces.
    """

    stem: str
    plain: bool
    capital: bool = False
    name: bool = False
    parts: tuple[str, ...] = ()
    begins_value: bool = False
    negates: bool = False
    ends_clause: bool = False
    grams: tuple[str, ...] = ()


@functools.lru_cache(maxsize=32_768)
def _look_up(word: str) -> _Known | None:
    """Return what is known of a word; None for a function word."""
    if UNSPACED.fullmatch(word):
        return _Known(word, plain=False, grams=tuple(split_unspaced(word)))
    lower = word.lower()
    value = may_begin_value(lower)
    negates = lower in _NEGATIONS or lower.endswith(("n't", "n\u2019t"))
    contrast = lower in _CONTRASTS
    if not (value or negates or contrast) and _SHORT_FORM.sub("", lower) in _FUNCTION_WORDS:
        return None
    code = not word.isalnum() and any(mark in word for mark in "-_/.")
    parts = tuple(_stem(part) for part in re.split(r"[^a-z0-9]+", lower) if part) if code else ()
    name = code or (len(word) > 1 and word.isupper())
    capital = word[0].isupper()
    plain = not (capital or name or value or negates or contrast)
    return _Known(_stem(lower), plain, capital, name, parts, value, negates, contrast)


class _Reading:
    """The words of a text as they are read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.written: dict[str, str] = {}
        self._also: dict[str, tuple[str, ...]] = {}
        self._bare: dict[str, tuple[str, ...]] = {}
        self._exact: set[str] = set()
        self._negated: set[str] = set()
        self._denied: set[str] = set()
        self._holds: set[str] = set()
        self._numbers: set[str] = set()
        self._reach = 0  # content words that the last negation still applies to
        self._literals = "`" in text or "=" in text
        self._quoted = [match.span() for match in _QUOTED.finditer(text)] if self._literals else []
        first = _FIRST.search(text)
        self._first = first.start() if first else 0
        self.end = 0
        verdict = _VERDICT.match(text)
        self._verdict = ("yes" if verdict[1] else "no") if verdict else ""
        self._verdict_end = verdict.end() if verdict else 0

    @property
    def alert(self) -> bool:
        """Whether a plain word is more than that: after a negation, or as code."""
        return bool(self._reach) or self._literals

    def read(self, known: _Known, word: str, start: int) -> None:
        """Read a word, or the value that begins with it."""
        if start < self.end:  # within a value
            return
        if 0 < self._reach < _NEGATED_WORDS and (
            known.ends_clause or _CLAUSE_ENDS.search(self._text, self.end, start)
        ):
            self._reach = 0
        if known.begins_value and (value := value_at(self._text, start, word.lower())):
            self._add_value(value, start)
            return
        if known.grams:
            for gram in known.grams:
                self._add(gram, gram, exact=False)
        elif known.negates:
            if start >= self._verdict_end and not _NO_NEGATION.match(self._text, start):
                self._reach = _NEGATED_WORDS
        elif word.lower() not in _FUNCTION_WORDS:
            exact = known.name or (known.capital and start > self._first)
            self._add(known.stem, word, exact=exact or self._is_literal(start))
            self._holds.update(known.parts)
        self.end = start + len(word)

    def result(self) -> Wording:
        """Return the words read."""
        words = frozenset(self.written)
        return Wording(
            words | self._holds,
            frozenset(self._negated),
            frozenset(self._denied),
            frozenset(self._numbers),
            words,
            frozenset(self._exact),
            self._also,
            self._bare,
            self.written,
            self._verdict,
        )

    def _add_value(self, value: Value, start: int) -> None:
        for item in value.words:
            self._add(item, self._text[start : value.end], exact=value.exact)
        if value.also:
            self._also[value.words[0]] = tuple(map(_stem, value.also))
        if value.bare:
            self._bare[value.words[0]] = value.bare
        self._holds.update(map(_stem, value.holds))
        if value.number:
            self._numbers.add(value.number)
        self.end = value.end

    def _add(self, word: str, written: str, *, exact: bool) -> None:
        self.written.setdefault(word, written)
        if exact:
            self._exact.add(word)
        if self._reach:
            self._negated.add(word)
            if self._reach == _NEGATED_WORDS:
                self._denied.add(word)
            self._reach -= 1

    def _is_literal(self, start: int) -> bool:
        """Return whether a word is set as code or assigned: LOG_LEVEL=warn."""
        return self._literals and (
            self._text[start - 1 : start] == "="
            or any(first < start < last for first, last in self._quoted)
        )


@functools.lru_cache(maxsize=16_384)
def _stem(word: str) -> str:
    """Return a word without inflectional endings and diacritics, in American spelling."""
    if not word.replace("'", "").replace("\u2019", "").isalpha():
        return word
    word = _SHORT_FORM.sub("", _MARKS.sub("", unicodedata.normalize("NFD", word)))
    for british, american in _SPELLINGS:
        word = british.sub(american, word)
    for suffix, replacement in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)] + replacement
    return word


def is_about(content: Content, asked: Wording) -> bool:
    """Return whether the content of a text has enough of a question's words."""
    common = asked.words - asked.exact
    return len(common & content.holds) >= min(_ENOUGH, len(common) / 2)
