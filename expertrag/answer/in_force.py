"""Of the passages that answer a question at different times, keep the one that is in force.

The reader sees each of them alone: its doubt says whether the passage answers. Their dates say
which one is the latest. A model that reads both at once often gives the older value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import takewhile
from operator import attrgetter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from expertrag.api.types import QuestionScope
from expertrag.grounding.successors import (
    Written,
    are_versions,
    find_successors,
    is_row,
    names_in,
)
from expertrag.grounding.versions import asks_for_older
from expertrag.grounding.wording import wording
from expertrag.queries.periods import find_periods
from expertrag_index.build.naming import path_of
from expertrag_retriever.search import to_passage

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.answer.search import Gathered
    from expertrag.answer.sessions import Sessions
    from expertrag.api.types import Passage

ANSWERS_BELOW = 0.4
"""Doubt below which a passage alone answers. For 60 questions about rules with versions, passages
that hold a value have .01 to .36, and others .5 to 1."""

CHANGES_BELOW = 0.9
"""Doubt below which a passage that changes another one may answer together with it. "From 3 March:
28 hours" does not say what the hours are of."""

_NEIGHBOURS = 200
"""Documents of a folder among which other versions of a document are looked for."""
_MOST_ADDED = 4

_FACTS = (QuestionScope.LOOKUP, QuestionScope.LATEST, QuestionScope.COUNT)
"""Scopes that one passage answers. A count that no table gives may be a fact: "how many days of
leave do I get"."""


def keep_in_force(context: AnswerContext, gathered: Gathered, sessions: Sessions) -> Gathered:
    """Put what is in force first, without what it replaces; change nothing for other questions."""
    request = context.request
    today = date.fromisoformat(request.as_of) if request.as_of else date.today()
    if context.scope not in _FACTS or not context.is_plain or _names_time(context, today):
        return gathered
    doubts = _Doubts(context, sessions)
    for first in gathered.passages:
        others = _find_others(context, first, gathered, today.isoformat())
        if others and doubts.of(first) < ANSWERS_BELOW:
            return _Read.of([first, *others], doubts, today.isoformat()).arrange(gathered)
    return gathered


def _names_time(context: AnswerContext, today: date) -> bool:
    """Return whether a question is about what was in force at another time, or in a period."""
    question = context.request.question
    is_latest = context.scope is QuestionScope.LATEST
    return asks_for_older(question) or (not is_latest and bool(find_periods(question, today)))


class _Doubts:
    """The doubts that passages alone hold the answer, each read once; 1 if it cannot be told."""

    def __init__(self, context: AnswerContext, sessions: Sessions) -> None:
        self._context, self._sessions = context, sessions
        self._known: dict[tuple[str, int], float] = {}

    def of(self, passage: Passage) -> float:
        """Return the doubt of a passage, 0 to 1."""
        key = passage.document_id, passage.start
        if key not in self._known:
            doubt = self._sessions.doubt_alone(self._context, passage)
            self._known[key] = 1.0 if doubt is None else doubt
        return self._known[key]


@dataclass(frozen=True, slots=True)
class _Read:
    """The latest passage that answers, what changes it, what it replaces, and other answers."""

    latest: Passage
    changes: Sequence[Passage]
    earlier: Sequence[Passage]
    undated: Sequence[Passage]

    @classmethod
    def of(cls, passages: Sequence[Passage], doubts: _Doubts, today: str) -> _Read:
        """Read passages alone, of which the first one answers."""
        read = sorted(
            (Written(one, today) for one in passages), key=attrgetter("rank"), reverse=True
        )
        answering = [one for one in read if doubts.of(one.passage) < ANSWERS_BELOW]
        latest = answering[0]
        changes = [
            one.passage
            for one in takewhile(lambda one: one is not latest, read)
            if doubts.of(one.passage) < CHANGES_BELOW and one.changes(latest)
        ]
        earlier = [one.passage for one in answering if latest.is_after(one)]
        undated = [one.passage for one in answering[1:] if not latest.is_after(one)]
        return cls(latest.passage, changes, earlier, undated)

    def arrange(self, gathered: Gathered) -> Gathered:
        """Return what changes the latest passage, and that passage; others may contradict it."""
        if not self.earlier and not self.changes:
            return gathered
        passages = *self.changes[:1], self.latest, *self.undated
        pairs = [(one, self.latest) for one in self.earlier]
        result = replace(gathered.result, passages=passages)
        return replace(gathered, result=result, replaced=(*gathered.replaced, *pairs))


def _find_others(
    context: AnswerContext, first: Passage, gathered: Gathered, today: str
) -> list[Passage]:
    """Return the passages that may replace the first one, or be replaced by it."""
    if is_row(first):
        return []
    passages = gathered.passages
    asked = wording(context.request.question)
    if context.scope is QuestionScope.LATEST:
        names = names_in(first, asked)
        others = [
            one
            for one in passages
            if one is not first and not is_row(one) and names_in(one, asked) == names
        ]
    else:
        others = find_successors(first, passages, asked, today)
    known = {one.document_id for one in (*passages, *(each for each, _ in gathered.replaced))}
    return others + [one for one in _neighbours(context, first) if one.document_id not in known]


def _neighbours(context: AnswerContext, first: Passage) -> list[Passage]:
    """Return a passage of each other version of a document that stands in its folder."""
    path = path_of(first.document_id, first.source)
    folder = path.rpartition("/")[0]
    if path != first.document_id or not folder:
        return []
    catalog = context.view.index.catalog
    listed = catalog.documents(
        context.request.filter or None, after=(f"{folder}/",) * 2, limit=_NEIGHBOURS
    )
    documents = takewhile(lambda one: one.startswith(f"{folder}/"), (at[1] for at, _ in listed))
    stem = PurePosixPath(path).stem
    versions = [
        one
        for one in documents
        if one != path
        and one.rpartition("/")[0] == folder
        and are_versions(PurePosixPath(one).stem, stem)
    ]
    asked = wording(context.request.question).words
    passages = []
    for document in versions[:_MOST_ADDED]:
        chunks = catalog.chunks(document)
        best = max(chunks, key=lambda one: len(asked & wording(one.text).holds), default=None)
        if best is not None:
            passages.append(to_passage(best))
    return passages
