"""Answer a question about a set from the tables of the store: a list, a count, a sum, a yes or no.

The numbers are computed by SQL, never by the language model. It drafts a query as well: if that
gives what the words of the question give, the answer is complete. The access labels of the caller
and the filter of the request are applied before the tables exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from expertrag.answer.question_set import QuestionSet, find_rows, find_set
from expertrag.answer.scope import SETS
from expertrag.answer.search import Gathered, find_documents
from expertrag.answer.sessions import write_draft
from expertrag.answer.set_answer import MOST_PASSAGES, SetAnswer, stream_set_answer
from expertrag.api.tables import Coverage
from expertrag.api.types import Citation, Passage, QuestionScope, Sampling
from expertrag.llm.prompt import INSTRUCT
from expertrag.queries.drafts import DRAFT_STOPS, DRAFT_TOKENS, draft_messages, read_draft
from expertrag.queries.result import QueryResult, count_decimals, run_question
from expertrag.queries.wording import Line, to_coverage, to_lines, to_table
from expertrag_index.errors import SearchError
from expertrag_index.tables.database import DOCUMENT, quote
from expertrag_index.tables.families import FILE, TITLE
from expertrag_retriever.search import to_passage

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.api.events import AnswerEvent
    from expertrag.llm.base import Generator
    from expertrag.queries.linking import TableLink
    from expertrag.queries.query import TableQuery
    from expertrag_index.store.index import Index


MAY_BE_SET = 0.05
"""Probability of a set from which a question that no passage may answer is asked of tables."""

_UNTOLD = (DOCUMENT, FILE, TITLE)
"""Columns that are not an answer to a question about a row."""


def coverage_of_passages(context: AnswerContext, passages: Sequence[Passage]) -> Coverage:
    """Return the coverage of an answer about a set that a few passages gave: unknown."""
    documents = len({passage.document_id for passage in passages})
    searched = context.view.index.catalog.count(context.request.filter or None)
    reason = f"it is from the {len(passages)} best passages, and other documents may match"
    return Coverage(searched, documents, documents, max(searched - documents, 0), None, reason)


def answer_from_table(context: AnswerContext, result: QueryResult) -> Iterator[AnswerEvent]:
    """Answer from the rows of a table; the last event is a ``DoneEvent``."""
    index = context.view.index
    database = index.tables(context.request.filter or None)
    decimals = count_decimals(result.query, database) if result.query.target.measure else 0
    passages, lines = _passages(index, result), to_lines(result, decimals)
    return stream_set_answer(
        context,
        SetAnswer(
            passages,
            to_table(result),
            to_coverage(result, database),
            "\n".join(line.text for line in lines),
            tuple(_citations(lines, result, passages)),
        ),
    )


def is_complete(context: AnswerContext, result: QueryResult) -> bool:
    """Return whether the rows of a result are all that match, beyond doubt."""
    return bool(
        to_coverage(result, context.view.index.tables(context.request.filter or None)).complete
    )


def name_of_row(context: AnswerContext, result: QueryResult) -> tuple[str, tuple[Passage, ...]]:
    """Return what a result of one row tells, and its passage; "" if it has several rows."""
    values = result.values
    if len(values.rows) != 1:
        return "", ()
    conditions = " ".join(condition.sql for condition in result.query.conditions)
    answers = (
        str(cell)
        for column, cell in zip(values.columns, values.rows[0], strict=True)
        if cell is not None and column not in _UNTOLD and quote(column) not in conditions
    )
    return next(answers, ""), _passages(context.view.index, result)[:1]


def compute_fact(
    context: AnswerContext, gathered: Gathered, generator: Generator
) -> tuple[AnswerContext, QueryResult] | None:
    """Compute a fact or a comparison if passages are mostly rows of one table, and it has one.

    :returns: the context of a question about that table, and the result.
    """
    about = find_rows(
        context.request, context.scope, context.view.index, gathered.passages, gathered.named
    )
    if about is None:
        return None
    likely = max(SETS, key=context.recognised.probabilities.__getitem__)
    read_as = QuestionScope.AGGREGATE if context.scope is QuestionScope.COMPARE else likely
    context = replace(context, asks_about=replace(about, read_as=read_as))
    result = query_tables(context, generator)
    return (context, result) if result else None


def find_unrecognised_set(context: AnswerContext) -> QuestionSet | None:
    """Find the table of a question that may be about a set, though it was not taken for one.

    None if none is likely.
    """
    probabilities = context.recognised.probabilities
    likely = max(SETS - {QuestionScope.EXISTS}, key=probabilities.__getitem__)
    if not context.may_be_misread or probabilities[likely] < MAY_BE_SET:
        return None
    request = replace(context.request, scope=likely)
    about = find_set(
        request, context.recognised, context.view.index, partial(find_documents, context)
    )
    return about if about.tables else None


def query_tables(context: AnswerContext, generator: Generator) -> QueryResult | None:
    """Compute the answer to a question from the first of its tables that has a row for it.

    None if no table has, unless none or zero may be the answer.
    """
    about = context.asks_about
    scope = about.read_as or about.scope
    empty = None
    for link in about.tables:
        result = query_table(context, link, scope, generator)
        if result is not None and (result.rows.rows or link.understood):
            return result if about.read_as is None or _tells_fact(result) else None
        empty = empty or result
    may_be_none = context.scope in (QuestionScope.EXISTS, QuestionScope.COUNT)
    return empty if may_be_none and not about.family else None


def _tells_fact(result: QueryResult) -> bool:
    """Return whether a result has more than what the question says, and nothing is assumed."""
    query = result.query
    conditions = " ".join(condition.sql for condition in query.conditions)
    is_new = query.target.operation or any(quote(name) not in conditions for name in query.shown)
    return bool(is_new) and not query.notes


def query_table(
    context: AnswerContext, link: TableLink, scope: QuestionScope, generator: Generator
) -> QueryResult | None:
    """Compute the answer to a question from one table that it is linked with."""
    database = context.view.index.tables(context.request.filter or None)
    asks_model = generator.family == INSTRUCT.name
    draft = _draft(context, link, generator) if asks_model else None
    with context.meter.stage("search"):
        return run_question(link, scope, database, draft, asked_model=asks_model)


def _draft(context: AnswerContext, link: TableLink, generator: Generator) -> TableQuery | None:
    """Let the language model write a query; None if it cannot be read or run."""
    sampling = Sampling(DRAFT_TOKENS, frequency_penalty=0.0, stop=DRAFT_STOPS)
    query = read_draft(write_draft(context, generator, draft_messages(link), sampling), link)
    try:
        if query is not None:
            context.view.index.tables(context.request.filter or None).run(query.sql)
    except SearchError:
        return None
    return query


def _passages(index: Index, result: QueryResult) -> tuple[Passage, ...]:
    """Return the passages that hold the first rows, one for each document."""
    catalog = index.catalog
    cells = {str(row[0]): [str(cell) for cell in row[1:] if cell] for row in result.rows.rows}
    passages = []
    for document in result.documents[:MOST_PASSAGES]:
        chunks = catalog.chunks(document)
        if chunks:
            best = max(chunks, key=lambda one: sum(cell in one.text for cell in cells[document]))
            passages.append(to_passage(best))
    return tuple(passages)


def _citations(
    lines: Sequence[Line], result: QueryResult, passages: Sequence[Passage]
) -> Iterator[Citation]:
    """Yield a citation for each line that names a row; for a computed value, all passages."""
    ranks = {passage.document_id: rank for rank, passage in enumerate(passages, 1)}
    start = 0
    for line in lines:
        end = start + len(line.text)
        if line.row is not None:
            documents: Sequence[str] = (str(result.rows.rows[line.row][0]),)
        else:
            documents = result.documents if len(lines) == 1 else ()
        for document in documents:
            if rank := ranks.get(document):
                passage = passages[rank - 1]
                yield Citation(
                    start, end, rank, document, passage.start, passage.end, 1.0, passage.page
                )
        start = end + 1
