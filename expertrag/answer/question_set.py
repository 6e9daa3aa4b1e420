"""Find what a question about a set is about: a table, or a family of documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from expertrag.answer.named_records import may_be_row
from expertrag.answer.scope import SETS, is_set
from expertrag.api.types import QuestionScope
from expertrag.queries.candidates import Candidate, has_fields, rank_tables
from expertrag.queries.linking import QuestionParts, link_table, link_tables
from expertrag.queries.query import find_queries
from expertrag.queries.result import has_rows, link_question
from expertrag.queries.targets import asks_for_extreme

if TYPE_CHECKING:
    from expertrag.answer.scope import ScopeProbabilities
    from expertrag.api.types import AnswerRequest, Passage
    from expertrag.queries.linking import TableLink
    from expertrag.queries.named_rows import NamedRow
    from expertrag_index.store.index import Index
    from expertrag_index.tables.database import TableDatabase

LIKELY_SET = 0.15
"""Probability from which a question that a table answers is taken for one about a set."""

LIKELY_SCAN = 0.3
"""Probability from which its documents are read one by one, which takes longer."""

LEAST_SCORE = 0.3
"""Score from which the model queries a table that the words alone do not understand, if a question
only may be about a set. For a question that is, five passages are no better than any table."""

LEAST_FAMILY, LEAST_FAMILY_OF_SET = 0.8, 0.5
"""Scores from which the documents of a family are read one by one, which takes longer. The second
score is for a question that is about a set, the first one for a question that may be."""

MOSTLY_ROWS = 0.6
"""Share of passages that are rows of one table, from which a fact is computed from it."""

UNDERSTOOD, TABLES = 2, 3
"""Numbers of likeliest tables: whose words may tell the query, and that the model may query. It
queries the later ones if the first has no answer."""

FindDocuments = Callable[[], Iterable[str]]
"""Searches for the question; returns the documents of the passages, best first."""


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """The set that a question is about.

    ``tables``: the tables that may answer it, the likeliest first; empty if none does. ``family``:
    the ids of the documents to read one by one, if no table answers; empty for none. ``name``: what
    the table or the family is called. ``read_as``: how the tables are queried for a question that
    need not be about a set: if most of what a search finds are rows of one table, "the priciest
    device" is computed. None for the scope itself. ``otherwise``: the scope if passages answer
    after all, because the recogniser leaves open whether the question is about a set. ``is_named``:
    whether words of the question name the table or the family, so that the gate need not decide.
    """

    scope: QuestionScope
    tables: tuple[TableLink, ...] = ()
    family: tuple[str, ...] = ()
    name: str = ""
    read_as: QuestionScope | None = None
    otherwise: QuestionScope | None = None
    is_named: bool = False


ONE_FACT = QuestionSet(QuestionScope.LOOKUP)
"""What a question about no set is about."""


def find_set(
    request: AnswerRequest, recognised: ScopeProbabilities, index: Index, search: FindDocuments
) -> QuestionSet:
    """Find the table, or the family of documents, that a question about a set is about.

    A question that may be about a set is taken for one if a table or a family is named. A question
    whose answer must follow a constraint is not.

    :param request: has the question as it stands alone.
    :param recognised: the scope of a request that has none.
    :param search: is called only for a question that may be about a set.
    """
    scope, probability = request.scope or recognised.accepted, 1.0
    likely = scope
    if not is_set(scope) and request.scope is None:
        likely = max(SETS, key=recognised.probabilities.__getitem__)
        probability = recognised.probabilities[likely]
    if not is_set(likely) or probability < LIKELY_SET or request.sampling.constraint is not None:
        return QuestionSet(scope)
    database = index.tables(request.filter or None)
    if not database.tables:
        return QuestionSet(scope)
    links = link_tables(_read_parts(request), database.tables)
    if not is_set(scope) and not any(link.shares_words for link in links):
        return QuestionSet(scope)
    candidates = rank_tables(links, database, search())
    if link := _find_understood(candidates, likely, database):
        return replace(_about_tables(likely, [link]), otherwise=scope, is_named=True)
    if is_set(scope) or probability >= LIKELY_SCAN:
        about = _find_likely(candidates, likely, database, is_set(scope)) or QuestionSet(scope)
        named = any(not word.asks for one in candidates[:1] for word in one.link.named)
        return replace(about, otherwise=scope, is_named=named and bool(about.name))
    return QuestionSet(scope)


def find_rows(
    request: AnswerRequest,
    scope: QuestionScope,
    index: Index,
    passages: Sequence[Passage],
    named: Sequence[NamedRow] = (),
) -> QuestionSet | None:
    """Find the table to compute a fact or a comparison from; None if the passages are other texts.

    :param passages: what a search for the question has found, best first.
    :param named: the rows that the question names.
    """
    if request.scope or scope not in (QuestionScope.LOOKUP, QuestionScope.COMPARE):
        return None
    if request.sampling.constraint is not None:
        return None
    least = MOSTLY_ROWS * len(passages)
    if not passages or sum(map(may_be_row, passages)) < least:
        return None  # the tables of a large store of plain texts are not derived for this
    database = index.tables(request.filter or None)
    counts = Counter(
        table
        for passage in passages
        for table in database.tables_of(passage.document_id)
        if not table.is_family
    )
    table, rows = next(iter(counts.most_common(1)), (None, 0))
    if table is None or rows < least:
        return None
    sure = [row for row in named if row.is_sure]
    if sure and not any(table in database.tables_of(row.document) for row in sure):
        return None  # the question is about a record of another table
    link = link_table(_read_parts(request), table)
    return QuestionSet(scope, (link,), (), _name(link))


def _read_parts(request: AnswerRequest) -> QuestionParts:
    today = date.fromisoformat(request.as_of) if request.as_of else date.today()
    return QuestionParts.of(request.question, today)


def _find_understood(
    candidates: Sequence[Candidate], scope: QuestionScope, database: TableDatabase
) -> TableLink | None:
    """Return the link with a table that understands all words of the question; None if none does.

    Only the likeliest tables are taken: words such as a name stand in many tables.
    """
    link = link_question([one.link for one in candidates[:UNDERSTOOD]], database)
    if link is None or not link.understood or not find_queries(link, scope, database):
        return None
    is_guess = bool(link.contained or link.ignored)
    return link if not is_guess or has_rows(link, database) else None


def _find_likely(
    candidates: Sequence[Candidate], scope: QuestionScope, database: TableDatabase, is_sure: bool
) -> QuestionSet | None:
    """Return the tables that a model may query, or the family whose documents it may read.

    :param is_sure: whether the question is about a set.
    """
    likely = [one for one in candidates[:TABLES] if is_sure or one.score >= LEAST_SCORE]
    if not likely:
        return None
    first = likely[0].link
    least = LEAST_FAMILY_OF_SET if is_sure else LEAST_FAMILY
    is_read = first.table.is_family and likely[0].score >= least
    family = database.documents_of(first.table.name) if is_read else ()
    if family and not has_fields(first):
        if scope is QuestionScope.LIST and asks_for_extreme(first.parts.question):
            scope = QuestionScope.AGGREGATE
        return QuestionSet(scope, (), family, _name(first))
    links = [one.link for one in likely if has_fields(one.link)]
    return _about_tables(scope, links, family) if links else None


def _about_tables(
    scope: QuestionScope, links: Sequence[TableLink], family: tuple[str, ...] = ()
) -> QuestionSet:
    return QuestionSet(scope, tuple(links), family, _name(links[0]))


def _name(link: TableLink) -> str:
    return link.table.names[0] if link.table.names else link.table.name
