"""Find what a question about a set is about: a table, or a family of documents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from expertrag.answer.scope import SETS, is_set, recognise_scope
from expertrag.api.types import QuestionScope
from expertrag.queries.query import find_queries
from expertrag.queries.result import has_rows, link_question
from expertrag.queries.targets import asks_for_extreme

if TYPE_CHECKING:
    from expertrag.api.types import AnswerRequest
    from expertrag.queries.linking import TableLink
    from expertrag_index.store.index import Index

LIKELY_SET = 0.15
"""Probability from which a question that a table understands is taken for one about a set."""

LIKELY_SCAN = 0.3
"""Probability from which its documents are read one by one, which takes longer."""


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """The set that a question is about.

    ``table``: the table that answers it; None if no table understands it. ``family``: the ids of
    the documents to read one by one, if there is no such table; empty for none. ``name``: what the
    table or the family is called.
    """

    scope: QuestionScope
    table: TableLink | None = None
    family: tuple[str, ...] = ()
    name: str = ""


ONE_FACT = QuestionSet(QuestionScope.LOOKUP)
"""What a question about no set is about."""


def find_set(request: AnswerRequest, index: Index) -> QuestionSet:
    """Find the table, or the family of documents, that a question about a set is about.

    A question that may be about a set is taken for one if a table or a family is named. A question
    whose answer must follow a constraint is not.

    :param request: has the question as it stands alone; its scope is recognised if it has none.
    """
    recognised = recognise_scope(request.question)
    scope, probability = request.scope or recognised.accepted, 1.0
    likely = scope
    if not is_set(scope) and request.scope is None:
        likely = max(SETS, key=recognised.probabilities.__getitem__)
        probability = recognised.probabilities[likely]
    if not is_set(likely) or probability < LIKELY_SET or request.sampling.constraint is not None:
        return QuestionSet(scope)
    today = date.fromisoformat(request.as_of) if request.as_of else date.today()
    database = index.tables(request.filter or None)
    link = link_question(request.question, database, today)
    if link is None:
        return QuestionSet(scope)
    name = link.table.names[0] if link.table.names else link.table.name
    if link.understood and find_queries(link, likely, database):
        is_guess = bool(link.contained or link.ignored) and likely is not QuestionScope.EXISTS
        if not is_guess or has_rows(link, database):
            return QuestionSet(likely, link, name=name)
    if is_set(scope) and link.is_likely and not link.names_documents:
        return QuestionSet(likely, link, name=name)
    if link.names_documents and probability >= LIKELY_SCAN:
        if likely is QuestionScope.LIST and asks_for_extreme(request.question):
            likely = QuestionScope.AGGREGATE
        return QuestionSet(likely, None, database.documents_of(link.table.name), name)
    return QuestionSet(scope)
