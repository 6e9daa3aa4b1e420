"""Later decisions among passages: one that changes what an earlier one says is read before it.

Minutes and amendments are not versions of the document that they change: the rest of it stays in
force, so it is kept. A passage amends others if it has a later date, and a sentence about the
question that states a change. Such a sentence is "The budget is raised to €685,000." A document
that says that it replaces another one amends it as a whole: "This replaces the notice of March."
Its date, and the other's, may stand in the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from expertrag.api.types import Passage
from expertrag.grounding.versions import DATE_FIELDS, PassagePair, asks_for_older
from expertrag.grounding.wording import Wording, is_about, wording
from expertrag.llm.provenance import provenance_words
from expertrag_index.build.naming import path_of
from expertrag_index.tables.cells import date_of as day_of
from expertrag_index.tables.cells import month_number
from expertrag_index.words.sentences import spans

_CHANGES = re.compile(
    r"\b(?:instead of|no longer|void|with effect from|from now on|as of now"
    r"|(?:replac|supersed|amend|withdr[ae]w|revis)\w*"
    r"|(?:is|are|was|were|has been|have been|been)\s+(?:now\s+)?(?:raised|lowered|increased|reduced"
    r"|cut|moved|postponed|brought forward|changed|extended|shortened|corrected|cancelled)"
    r"|(?:rises?|falls?|goes up|goes down) to|statt|ab sofort|gilt nicht mehr|ersetzt|geändert"
    r"|verschoben|erhöht|gesenkt|verlängert|angehoben|herabgesetzt)\b",
    re.IGNORECASE,
)
_REPLACES = re.compile(
    r"^\W*(?:amendment|addendum|nachtrag|ergänzung|avenant|change to the)\b"
    r"|\b(?:replaces|supersedes|ersetzt|instead of (?:that|those|the one)\b|anstelle de[rs]"
    r"|no longer (?:holds?|appl(?:y|ies)|(?:is )?valid)|gilt (?:\w+ )?nicht mehr)\b",
    re.IGNORECASE,
)
_SHARED = 2
"""Words of a question in a document that replaces another one; half of fewer words."""

_HEAD = 400
"""Characters in which a document says that it replaces another one."""
_DAY = re.compile(
    r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}\.\s?\d{1,2}\.\s?\d{4}\b"
    r"|\b(?:\d{1,2}\.?\s+)?(?P<month>[^\W\d_]{3,10})\.?\s+(?P<year>(?:19|20)\d\d)\b"
)
_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])(?:[-_.]?(0[1-9]|[12]\d|3[01]))?(?!\d)"
)


def put_amended_first(
    question: str, passages: Sequence[Passage]
) -> tuple[tuple[Passage, ...], tuple[PassagePair, ...]]:
    """Move passages that amend earlier ones before them, the latest first.

    :param passages: best first.
    :returns: also the pairs of an earlier passage and one that amends it.
    """
    if asks_for_older(question):
        return tuple(passages), ()
    asked = wording(question)
    amending = [each for passage in passages if (each := _Amendment.of(passage, asked))]
    order, outdated = list(passages), []
    for one in sorted(amending, key=lambda each: each.date):
        later = [other.passage for other in amending if other.date >= one.date]
        earlier = [
            other
            for other in order
            if one.amends(other, asked) and all(other is not each for each in later)
        ]
        outdated += [(other, one.passage) for other in earlier]
        rank = order.index(one.passage)
        if earlier and (first := order.index(earlier[0])) < rank:
            order.insert(first, order.pop(rank))
    return tuple(order), tuple(outdated)


@dataclass(frozen=True, slots=True)
class _Amendment:
    """A passage that states a change, and its date; ``replaces``: it names another document."""

    passage: Passage
    date: str
    replaces: bool

    @classmethod
    def of(cls, passage: Passage, asked: Wording) -> _Amendment | None:
        """Return what a passage amends; None if it states no change of what is asked about."""
        if not asked.words - asked.exact:
            return None
        if _REPLACES.search(passage.text[:_HEAD]) and _shares_words(passage, asked):
            days = days_in(passage.text)
            return cls(passage, date_of(passage) or max(days, default=""), replaces=True)
        day = date_of(passage)
        return cls(passage, day, replaces=False) if day and _amends(passage, asked) else None

    def amends(self, other: Passage, asked: Wording) -> bool:
        """Return whether another passage is earlier, and about the same of what is asked."""
        if other.document_id == self.passage.document_id:
            return False
        if not self.replaces:
            return "" < date_of(other) < self.date
        day = date_of(other) or next(iter(days_in(other.text)), "")
        named = asked.exact & wording(f"{provenance_words(other)}\n{other.text}").holds
        own = f"{provenance_words(self.passage)}\n{self.passage.text}".casefold()
        is_same = all(name in own for name in named)
        return day < self.date and is_same and _shares_words(other, asked)


def _shares_words(passage: Passage, asked: Wording) -> bool:
    """Return whether a passage has words of a question, names and German nouns among them."""
    common = asked.words & wording(passage.text).holds
    return len(common) >= min(_SHARED, len(asked.words) / 2)


def days_in(text: str) -> list[str]:
    """Return the days and months of a year in a text, ISO 8601, in its order."""
    days = []
    for match in _DAY.finditer(text):
        if day := day_of(match[0]):
            days.append(day)
        elif match["month"] and (month := month_number(match["month"])):
            days.append(f"{match['year']}-{month:02}")
    return days


def date_of(passage: Passage, *, metadata: bool = True) -> str:
    """Return the date in the name of a passage's file, else in its metadata; "" if unknown."""
    name = PurePosixPath(path_of(passage.document_id, passage.source)).stem
    if match := _DATE.search(name):
        return "-".join(part for part in match.groups() if part)
    if not metadata:
        return ""
    dates = (str(passage.metadata.get(field, "")) for field in DATE_FIELDS)
    return next((date[:10] for date in dates if _DATE.match(date)), "")


def states_change(text: str) -> bool:
    """Return whether a text says that something is changed or replaced."""
    return bool(_CHANGES.search(text) or _REPLACES.search(text))


def _amends(passage: Passage, asked: Wording) -> bool:
    """Return whether a sentence of a passage states a change of what is asked about."""
    if not _CHANGES.search(passage.text):
        return False
    if asked.exact and asked.exact.isdisjoint(
        wording(f"{provenance_words(passage)}\n{passage.text}").holds
    ):
        return False
    sentences = (passage.text[start:end] for start, end in spans(passage.text))
    return any(
        is_about(wording(sentence), asked) for sentence in sentences if _CHANGES.search(sentence)
    )
