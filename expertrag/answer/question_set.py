"""Find what a question about a set is about: a table, or a family of documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from expertrag.answer.scope import SETS, is_set, recognise_scope
from expertrag.api.types import GateMode, QuestionScope
from expertrag.queries.candidates import Candidate, has_fields, rank_tables
from expertrag.queries.linking import QuestionParts
from expertrag.queries.query import find_queries
from expertrag.queries.result import has_rows, link_question
from expertrag.queries.targets import asks_for_extreme

if TYPE_CHECKING:
    from expertrag.api.types import AnswerRequest
    from expertrag.queries.linking import TableLink
    from expertrag_index.store.index import Index
    from expertrag_index.tables.database import TableDatabase

LIKELY_SET = 0.15
"""Probability from which a question that a table answers is taken for one about a set."""

LIKELY_SCAN = 0.3
"""Probability from which its documents are read one by one, which takes longer."""

LEAST_SCORE = 0.3
"""Score from which a table that the words alone do not understand is asked by the model."""

LEAST_FAMILY = 0.8
"""Score from which the documents of a family are read one by one, which takes longer."""

LEAST_COMPARED = 0.6
"""Score of a table from which a comparison may be computed from it."""

MOSTLY_ROWS = 0.9
"""Votes for a table of rows, near half of all, from which one fact may be computed from it."""

TABLES = 2
"""Tables that the model is asked to query, the second one if the first has no answer."""

FindDocuments = Callable[[], Iterable[str]]
"""Searches for the question; returns the documents of the passages, best first."""


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """The set that a question is about.

    ``tables``: the tables that may answer it, the likeliest first; empty if none does. ``family``:
    the ids of the documents to read one by one, if no table answers; empty for none. ``name``: what
    the table or the family is called. ``read_as``: how the tables are queried for a question that
    need not be about a set: if most of what a search finds are rows of one table, "the priciest
    device" is computed. None for the scope itself.
    """

    scope: QuestionScope
    tables: tuple[TableLink, ...] = ()
    family: tuple[str, ...] = ()
    name: str = ""
    read_as: QuestionScope | None = None


ONE_FACT = QuestionSet(QuestionScope.LOOKUP)
"""What a question about no set is about."""


def find_set(request: AnswerRequest, index: Index, search: FindDocuments) -> QuestionSet:
    """Find the table, or the family of documents, that a question about a set is about.

    A question that may be about a set is taken for one if a table or a family is named. A question
    whose answer must follow a constraint is not.

    :param request: has the question as it stands alone; its scope is recognised if it has none.
    :param search: is called only for a question that may be about a set.
    """
    recognised = recognise_scope(request.question)
    scope, probability = request.scope or recognised.accepted, 1.0
    likely = scope
    if not is_set(scope) and request.scope is None:
        likely = max(SETS, key=recognised.probabilities.__getitem__)
        probability = recognised.probabilities[likely]
    database = _tables_for(request, index, likely)
    if database is None:
        return QuestionSet(scope)
    today = date.fromisoformat(request.as_of) if request.as_of else date.today()
    parts = QuestionParts.of(request.question, today)
    candidates = rank_tables(parts, database, search())
    may_be_set = probability >= LIKELY_SET
    if may_be_set and (link := _find_understood(candidates, likely, database)):
        return _about_tables(likely, [link])
    if is_set(scope) or probability >= LIKELY_SCAN:
        return _find_likely(candidates, likely, database) or QuestionSet(scope)
    if request.mode is GateMode.STRICT:
        return QuestionSet(scope)
    if scope is QuestionScope.COMPARE:
        return _find_compared(candidates) or QuestionSet(scope)
    is_fact = scope is QuestionScope.LOOKUP
    return (_find_rows(candidates, likely) if is_fact else None) or QuestionSet(scope)


def _tables_for(
    request: AnswerRequest, index: Index, likely: QuestionScope
) -> TableDatabase | None:
    """Return the tables that may answer a question; None if it is not computed."""
    if not is_set(likely) or request.sampling.constraint is not None:
        return None
    database = index.tables(request.filter or None)
    return database if database.tables else None


def _find_rows(candidates: Sequence[Candidate], likely: QuestionScope) -> QuestionSet | None:
    """Return the table to compute a fact from; None if a search finds mostly other texts."""
    rows = [one for one in candidates[:1] if not one.link.table.is_family]
    if not rows or rows[0].votes < MOSTLY_ROWS:
        return None
    link = rows[0].link
    return QuestionSet(QuestionScope.LOOKUP, (link,), (), _name(link), read_as=likely)


def _find_compared(candidates: Sequence[Candidate]) -> QuestionSet | None:
    """Return the tables that a comparison may be computed from: the larger of two rows."""
    likely = [
        one.link for one in candidates[:1] if one.score >= LEAST_COMPARED and has_fields(one.link)
    ]
    if not likely:
        return None
    name = _name(likely[0])
    scope = QuestionScope.COMPARE
    return QuestionSet(scope, tuple(likely), (), name, read_as=QuestionScope.AGGREGATE)


def _find_understood(
    candidates: Sequence[Candidate], scope: QuestionScope, database: TableDatabase
) -> TableLink | None:
    """Return the link with a table that understands all words of the question; None if none does.

    Only the likeliest tables are taken: words such as a name stand in many tables.
    """
    link = link_question([one.link for one in candidates[:TABLES]], database)
    if link is None or not link.understood or not find_queries(link, scope, database):
        return None
    is_guess = bool(link.contained or link.ignored) and scope is not QuestionScope.EXISTS
    return link if not is_guess or has_rows(link, database) else None


def _find_likely(
    candidates: Sequence[Candidate], scope: QuestionScope, database: TableDatabase
) -> QuestionSet | None:
    """Return the tables that a model may query, or the family whose documents it may read."""
    likely = [one.link for one in candidates[:TABLES] if one.score >= LEAST_SCORE]
    if not likely:
        return None
    first, score = likely[0], candidates[0].score
    is_read = first.table.is_family and score >= LEAST_FAMILY
    family = database.documents_of(first.table.name) if is_read else ()
    if not has_fields(first):
        if not family:
            return None
        if scope is QuestionScope.LIST and asks_for_extreme(first.parts.question):
            scope = QuestionScope.AGGREGATE
        return QuestionSet(scope, (), family, _name(first))
    return _about_tables(scope, [link for link in likely if has_fields(link)], family)


def _about_tables(
    scope: QuestionScope, links: Sequence[TableLink], family: tuple[str, ...] = ()
) -> QuestionSet:
    return QuestionSet(scope, tuple(links), family, _name(links[0]))


def _name(link: TableLink) -> str:
    return link.table.names[0] if link.table.names else link.table.name
