"""Answer a question about a set from the tables of the store: a list, a count, a sum, a yes or no.

The numbers are computed by SQL, never by the language model. It only chooses, where a question can
be read in several ways. The access labels of the caller and the filter of the request are applied
before the tables exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from expertrag.api.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    PassagesEvent,
    TableEvent,
)
from expertrag.api.tables import Coverage
from expertrag.api.types import (
    Citation,
    Constraint,
    FinishReason,
    GateMode,
    Passage,
    QuestionScope,
    Sampling,
)
from expertrag.llm.base import Message
from expertrag.llm.prompt import ABSTENTION
from expertrag.queries.result import QueryResult, count_decimals, run_question
from expertrag.queries.wording import Line, to_coverage, to_lines, to_table, warn_incomplete
from expertrag_retriever.search import to_passage

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.llm.base import Generator
    from expertrag.queries.linking import TableLink
    from expertrag_index.store.index import Index

MOST_PASSAGES = 20
"""Most documents whose passages come with an answer; the table names all of its documents."""

_SYSTEM = "You choose the SQLite query that answers a question. Answer with the query only."


def coverage_of_passages(context: AnswerContext, passages: Sequence[Passage]) -> Coverage:
    """Return the coverage of an answer about a set that a few passages gave: unknown."""
    documents = len({passage.document_id for passage in passages})
    searched = context.view.index.catalog.count(context.request.filter or None)
    reason = f"it is from the {len(passages)} best passages, and other documents may match"
    return Coverage(searched, documents, documents, max(searched - documents, 0), None, reason)


def answer_from_tables(
    context: AnswerContext, link: TableLink, generator: Generator
) -> Iterator[AnswerEvent]:
    """Answer from a table: its rows, what was counted, a text that names them, and citations.

    The usage and the end of the answer are left to the caller, which gets the last event without
    them: a ``DoneEvent``.
    """
    index, request = context.view.index, context.request
    database = index.tables(request.filter or None)
    with context.meter.stage("search"):
        result = run_question(
            link, context.scope, database, partial(_choose, context, link, generator)
        )
        if result is None:
            return
        decimals = count_decimals(result.query, database) if result.query.target.measure else 0
        passages = _passages(index, result)
    coverage = to_coverage(result, database)
    yield PassagesEvent(passages, index.generation)
    if coverage.complete is not True and request.mode is GateMode.STRICT and not _lists(result):
        yield TableEvent(to_table(result), coverage)
        yield DeltaEvent(ABSTENTION)
        yield DoneEvent(FinishReason.ABSTAINED, unsupported_reason=coverage.reason)
        return
    yield TableEvent(to_table(result), coverage)
    lines = to_lines(result, decimals)
    yield DeltaEvent("\n".join(line.text for line in lines))
    yield from map(CitationEvent, _citations(lines, result, passages))
    reason = warn_incomplete(coverage)
    yield DoneEvent(FinishReason.STOP, 1.0, from_documents=True, unsupported_reason=reason)


def _lists(result: QueryResult) -> bool:
    return result.scope is QuestionScope.LIST


def _choose(
    context: AnswerContext,
    link: TableLink,
    generator: Generator,
    question: str,
    choices: Sequence[str],
) -> str:
    """Let the language model choose one of several queries."""
    columns = ", ".join(
        f'"{column.name}" {column.kind}'
        + (f" ({', '.join(column.values[:5])})" if column.values else "")
        for column in link.table.columns
    )
    text = f'Table "{link.table.name}": {columns}\n\nQuestion: {question}'
    messages = [Message("system", _SYSTEM), Message("user", text)]
    sampling = Sampling(max_tokens=200, constraint=Constraint(choices=tuple(choices)))
    with closing(generator.begin(messages, sampling, context.should_stop)) as session:
        chosen = "".join(session.stream())
        context.meter.count(session)
    return chosen if chosen in choices else choices[0]


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
