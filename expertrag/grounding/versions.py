"""Versions of one document among passages: the newest one in force answers.

Two files are versions of one document if their names and folders differ only in what marks a
version: a year, ``v3``, ``draft``, ``old``, ``(1)``. Months and full dates mark no version: minutes
and reports of several dates are several documents. Years may also be the years of reports, so they
replace only passages that say nearly the same. Of other passages about the question, the one of the
latest year is read first. A question that names an older version is answered from that version. A
version may say from which day it is effective, in its metadata or in a line such as "Effective: 1
March 2026". Before that day, it is not in force.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath

from expertrag.api.types import Passage
from expertrag.grounding.wording import Wording, is_about, wording
from expertrag.queries.periods import find_periods
from expertrag_index.build.naming import path_of
from expertrag_index.tables.cells import date_of

_SAME = 0.4
"""Share of the shorter passage's words that another version's passage on the subject holds."""

_HEAD = 100
"""Characters of the first line of a passage in which the year of its document may stand."""

_DATED = re.compile(r"(?<!\d)(?:19|20)\d\d[-_. ]?(?:0[1-9]|1[0-2]|q[1-4])(?!\d)|\bq[1-4]\b", re.I)
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_NUMBER = re.compile(
    r"(?<![^\W_])v(?:ersion)?[. ]?(\d+(?:[._-]\d{1,2}(?!\d))*)|(?<![^\W_])rev[. ]?(\d+)", re.I
)
_COPY = re.compile(r"\(\d+\)|(?<![^\W_])copy(?![^\W_])", re.I)
_DRAFT = re.compile(r"(?<![^\W_])(?:drafts?|proposals?|proposed|entwurf)(?![^\W_])", re.I)
_RETIRED = re.compile(
    r"(?<![^\W_])(?:archived?|archiv|old|alte?|veraltet|überholt|superseded|obsolete|withdrawn|retired|former)(?![^\W_])",
    re.I,
)
_NEW = re.compile(
    r"(?<![^\W_])(?:new|updated|neue?|aktualisiert|nouve(?:au|lle)|nuev[ao])(?![^\W_])", re.I
)
_MARKS = (_YEAR, _NUMBER, _COPY, _DRAFT, _RETIRED, _NEW)
_ASKS_FOR_OLDER = re.compile(
    r"\b(?:used to|previous(?:ly)?|former(?:ly)?|earlier|older|superseded|archived|drafts?"
    r"|proposals?|proposed|history|(?:has|have|was|were|what) changed|differ\w*|no longer"
    r"|last year)\b",
    re.I,
)
_EFFECTIVE = re.compile(
    r"^\W*(?:effective(?: (?:date|from|as of|since))?|valid[ _]from|in force (?:from|since)"
    r"|gültig ab|in kraft (?:seit|ab))\W{1,4}(\d{4}-\d{2}-\d{2}"
    r"|\d{1,2}\.\s?\d{1,2}\.\s?\d{4}|[^\n.|;]{6,20})",
    re.IGNORECASE | re.MULTILINE,
)
_FROM = ("effective", "effective_date", "effective_from", "valid_from", "in_force_from")
"""Metadata fields with the day from which a version is effective."""

DATE_FIELDS = ("effective", "valid_from", "date", "version", "modified")
"""Metadata fields that date or number a version, the most telling first."""


PassagePair = tuple[Passage, Passage]
"""An earlier passage and a later one."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Passages in force, best first, and pairs of a passage left out and the one in force.

    ``outdated``: pairs of a passage of an earlier year and a later one, both kept.
    """

    in_force: tuple[Passage, ...]
    replaced: tuple[PassagePair, ...] = ()
    outdated: tuple[PassagePair, ...] = ()


def newest_versions(
    question: str, passages: Sequence[Passage], as_of: date | None = None
) -> Versions:
    """Separate the passages of older versions and drafts from those in force.

    A passage in force takes the rank of the best passage that it replaces.

    :param passages: best first.
    :param as_of: the day on which a version must be in force; None for today.
    """
    if as_of is None and asks_for_older(question):
        return Versions(tuple(passages))
    day = as_of.isoformat() if as_of else _day_of(question, date.today())
    marked = [_Marked.of(passage, question, day) for passage in passages]
    in_force: list[Passage] = []
    replaced: list[PassagePair] = []
    for one in marked:
        newest = max((other for other in marked if one.is_version_of(other)), key=_Marked.rank)
        if newest.passage is not one.passage and newest.rank() > one.rank():
            replaced.append((one.passage, newest.passage))
        if newest.passage not in in_force:
            in_force.append(newest.passage)
    kept = [one for passage in in_force for one in marked if one.passage is passage]
    order, outdated = _put_latest_first(kept, wording(question))
    return Versions(order, tuple(replaced), outdated)


def _put_latest_first(
    marked: Sequence[_Marked], asked: Wording
) -> tuple[tuple[Passage, ...], tuple[PassagePair, ...]]:
    """Move a passage of a later year before the passages of earlier years of its document.

    :returns: also the pairs of an earlier passage and a later one.
    """
    order, outdated = list(marked), []
    for one in sorted(marked, key=lambda each: each.year):
        if one.named or not is_about(wording(one.passage.text), asked):
            continue
        earlier = [other for other in order if one.follows(other)]
        outdated += [(other.passage, one.passage) for other in earlier]
        rank = order.index(one)
        if earlier and (first := order.index(earlier[0])) < rank:
            order.insert(first, order.pop(rank))
    return tuple(one.passage for one in order), tuple(outdated)


def _day_of(question: str, today: date) -> str:
    """Return the day whose versions a question is about: the end of a past period, or today."""
    past = [one.last for one in find_periods(question, today) if "" < one.last < today.isoformat()]
    return max(past, default=today.isoformat())


def asks_for_older(question: str) -> bool:
    """Return whether a question is about what is no longer, or not yet, in force."""
    return _ASKS_FOR_OLDER.search(question) is not None


def is_draft(passage: Passage) -> bool:
    """Return whether the path or the status of a passage's document says that it is a draft."""
    return bool(_DRAFT.search(_Marked.of(passage, "", "").flags))


def effective_from(passage: Passage) -> str:
    """Return the day from which a passage's document says it is effective, ISO 8601; else ""."""
    for name in _FROM:
        if day := date_of(str(passage.metadata.get(name, ""))):
            return day
    match = _EFFECTIVE.search(passage.text)
    return (date_of(match[1].strip(" *_")) or "") if match else ""


@dataclass(frozen=True, slots=True)
class _Marked:
    """A passage and what marks the version of its document.

    ``family``: path without the marks; empty if the document cannot have versions. ``named``:
    whether the question names its year. ``name`` is of the file; ``flags`` may say that it is a
    draft or retired. ``effective``: day from which it says it is effective; ``is_future``: whether
    that is after the day that is asked for.
    """

    passage: Passage
    path: str
    family: str
    words: frozenset[str]
    named: bool
    name: str
    flags: str
    effective: str = ""
    is_future: bool = False

    @classmethod
    def of(cls, passage: Passage, question: str, day: str) -> _Marked:
        effective = effective_from(passage)
        path = PurePosixPath(path_of(passage.document_id, passage.source))
        family = "" if _DATED.search(path.stem) else without_marks(path.stem)
        folders = filter(without_marks, path.parts[:-1])
        return cls(
            passage,
            path=str(path),
            family="/".join([*folders, family]) if family else "",
            words=frozenset(passage.text.casefold().split()),
            named=not {*years_in(str(path))}.isdisjoint(years_in(question)),
            name=path.stem,
            flags=" ".join([*path.parts, str(passage.metadata.get("status", ""))]),
            effective=effective,
            is_future=bool(day) and effective > day,
        )

    def is_version_of(self, other: _Marked) -> bool:
        """Return whether both are on one subject in versions of one document."""
        if self.passage is other.passage:
            return True
        if not self.family or self.family != other.family or self.path == other.path:
            return False
        if self.rank()[1:5] != other.rank()[1:5] or (self.numbers and other.numbers):
            return True
        if self.effective and other.effective and self.effective != other.effective:
            return True
        common = len(self.words & other.words)
        return common >= _SAME * max(1, min(len(self.words), len(other.words)))

    def follows(self, other: _Marked) -> bool:
        """Return whether the document is the one of a later year, and the question names none."""
        if self.family != other.family or not self.family or self.path == other.path:
            return False
        return not other.named and "" < other.year < self.year

    @property
    def year(self) -> str:
        """The year in the file's name, its folders or the document's first line; "" without one."""
        head = self.passage.text.lstrip().split("\n", 1)[0][:_HEAD] * (self.passage.ordinal == 0)
        texts = (self.name, self.flags, head)
        return max(next(filter(None, map(years_in, texts)), ()), default="")

    @property
    def numbers(self) -> list[int]:
        """The number of the version in the file's name; empty without one."""
        number = _NUMBER.search(self.name)
        return [int(part) for part in re.split(r"[._-]", number[1] or number[2])] if number else []

    def rank(self) -> tuple[bool, bool, bool, bool, bool, str, bool, list[int], str]:
        """Order versions: the one that the question names, else the newest one in force."""
        dates = (str(self.passage.metadata.get(key, "")) for key in DATE_FIELDS)
        return (
            self.named,
            not self.is_future,
            not _DRAFT.search(self.flags),
            not _RETIRED.search(self.flags),
            not _COPY.search(self.name),
            self.year or "9999",  # a name without a year is the name of the current version
            bool(_NEW.search(self.name)),
            self.numbers,
            self.effective or next(filter(None, dates), ""),
        )


def years_in(text: str) -> list[str]:
    """Return the years in a text."""
    return _YEAR.findall(text)


def without_marks(name: str) -> str:
    """Return the words of a name that mark no version, in small letters."""
    for mark in _MARKS:
        name = mark.sub(" ", name)
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))
