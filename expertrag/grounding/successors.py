"""Passages of documents that may say the same at different times: a rule and its successor.

A successor need not have the name of the document that it follows. It may name the day of that
document: "This replaces the notice of March 2024". Or it stands in the same folder, and its name
has the same words, or its text most of them. Whether both passages answer a question is for a
reader to say. Which one is the later one, their dates say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from expertrag.api.types import Passage
from expertrag.grounding.amendments import date_of, days_in, states_change
from expertrag.grounding.versions import effective_from, is_draft, without_marks, years_in
from expertrag.grounding.wording import Wording
from expertrag.llm.provenance import provenance_words
from expertrag_index.build.naming import path_of
from expertrag_index.tables.extract import BAR

_HEAD = 400
"""Characters in which a document says when it was written, and what it replaces."""

_SAME = 0.5
"""Share of the shorter passage's words that its successor in the same folder holds."""

_DAY = re.compile(r"(?<!\d)(?:19|20)\d\d[-_. ]?(?:0[1-9]|1[0-2])[-_. ]?[0-3]\d(?!\d)")
_SERIES = re.compile(r"(?<!\d)(?:19|20)\d\d[-_. ]?(?:0[1-9]|1[0-2]|q[1-4])", re.IGNORECASE)
_MONTH = 7
"""Characters of a month, ``2024-03``: a later document may name the day of another or its month."""


@dataclass(frozen=True)
class Written:
    """A passage, and when its document was written, as of a day.

    ``today``: the day on which a rule must be in force, ISO 8601.
    """

    passage: Passage
    today: str

    @cached_property
    def path(self) -> PurePosixPath:
        """The path of the passage's file."""
        return PurePosixPath(path_of(self.passage.document_id, self.passage.source))

    @cached_property
    def head(self) -> str:
        """The beginning of the passage."""
        return self.passage.text[:_HEAD]

    @cached_property
    def day(self) -> str:
        """The day, month or year in which it was written, ISO 8601; "" if unknown.

        It stands in the file's name, or in the passage's head, at last if it changes another one.
        """
        if named := date_of(self.passage, metadata=False):
            return named
        if effective := effective_from(self.passage):
            return effective
        past = [day for day in days_in(self.head) if day <= self.today]
        if past:
            return max(past) if states_change(self.head) else past[0]
        first_line = self.head.lstrip().split("\n", 1)[0]
        years: Iterator[str] = (y for text in (self.path.name, first_line) for y in years_in(text))
        return next(years, "") or date_of(self.passage)

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """Order documents by what is in force: no draft, in effect already, the latest one."""
        is_in_effect = effective_from(self.passage) <= self.today
        return not is_draft(self.passage), is_in_effect, self.day

    def is_after(self, other: Written) -> bool:
        """Return whether this document is in force instead of another one, beyond doubt."""
        if self.rank[:2] != other.rank[:2]:
            return self.rank > other.rank
        shared = min(len(self.day), len(other.day))  # "2025" may be before or after "2025-03"
        return self.day[:shared] > other.day[:shared]

    def may_follow(self, other: Written) -> bool:
        """Return whether one of two documents may be the successor of the other."""
        if self.passage.document_id == other.passage.document_id:
            return False
        if self.changes(other) or other.changes(self):
            return True
        if self.path.parent != other.path.parent:
            return False
        return are_versions(self.path.stem, other.path.stem) or (
            self._is_dated_as(other) and self._repeats(other)
        )

    def changes(self, other: Written) -> bool:
        """Return whether a document states a change, and names another one by its day or month."""
        if not states_change(self.head) or not other.day:
            return False
        named = (day[:_MONTH] for day in days_in(self.head) if day != self.day)
        return any(len(day) == _MONTH and other.day.startswith(day) for day in named)

    def _is_dated_as(self, other: Written) -> bool:
        """Return whether both say from when they are effective, or differ by a month in the name.

        Contracts that differ by a number only may have several parties. Files with a full date in
        the name are minutes and letters.
        """
        if effective_from(self.passage) and effective_from(other.passage):
            return True
        if any(_DAY.search(one.path.stem) for one in (self, other)):
            return False
        first, second = (name_words(_SERIES.sub(" ", one.path.stem)) for one in (self, other))
        return bool(first) and first == second

    def _repeats(self, other: Written) -> bool:
        words, others = (set(one.passage.text.casefold().split()) for one in (self, other))
        return len(words & others) >= _SAME * max(1, min(len(words), len(others)))


def find_successors(
    first: Passage, passages: Sequence[Passage], asked: Wording, today: str
) -> list[Passage]:
    """Return the passages that may say at another time what the first one says.

    :param asked: the words of the question: both passages have the same of its names.
    :param today: the day on which a rule must be in force, ISO 8601.
    """
    one, names = Written(first, today), names_in(first, asked)
    return [
        other
        for other in passages
        if not is_row(other)
        and names_in(other, asked) == names
        and one.may_follow(Written(other, today))
    ]


def are_versions(one: str, other: str) -> bool:
    """Return whether one of two file names has all words of the other, and none is of a series."""
    if _SERIES.search(one) or _SERIES.search(other):
        return False
    first, second = name_words(one), name_words(other)
    return bool(first and second) and (first <= second or second <= first)


def name_words(stem: str) -> frozenset[str]:
    """Return the words of a file's name that mark no version."""
    return frozenset(without_marks(stem).split())


def is_row(passage: Passage) -> bool:
    """Return whether a passage is a record or has rows of a table: queries compare these."""
    return "#" in passage.document_id or BAR in passage.text


def names_in(passage: Passage, asked: Wording) -> frozenset[str]:
    """Return the names of a question that a passage, its title or its path has."""
    own = f"{provenance_words(passage)}\n{passage.text}".casefold()
    return frozenset(name for name in asked.exact - asked.values if name in own)
