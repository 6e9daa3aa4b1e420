"""The records that a question names, as passages: the row of a person, of an id, of a title.

A search ranks short texts that repeat a name above the row of a long list in which it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from expertrag.api.types import QuestionScope
from expertrag.grounding.versions import newest_versions
from expertrag.queries.named_rows import NamedRow, find_named_rows
from expertrag_index.tables.extract import BAR
from expertrag_retriever.search import to_passage

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.api.types import Passage
    from expertrag_index.store.index import Index

_ABOUT_RECORDS = frozenset(
    {QuestionScope.LOOKUP, QuestionScope.LATEST, QuestionScope.COMPARE, QuestionScope.TWO_HOPS}
)


def add_named_records(
    context: AnswerContext, passages: Sequence[Passage], as_of: date | None = None
) -> tuple[tuple[Passage, ...], tuple[NamedRow, ...]]:
    """Add the records in force that a question names, if it is about records.

    The record of a full name or an id stands first, others after the best passage. The tables of
    a store are derived only if the search found a row.

    :returns: also the rows of all records that the question names.
    """
    if context.scope not in _ABOUT_RECORDS or not any(map(may_be_row, passages)):
        return tuple(passages), ()
    index = context.view.index
    with context.meter.stage("search"):
        tables = index.tables(context.request.filter or None)
        rows = find_named_rows(context.request.question, tables)
        every = [record for row in rows for record in _passages_of(index, row)]
        records = newest_versions(context.request.question, every, as_of).in_force
    after = 0 if any(row.is_sure for row in rows) else 1
    added = {(one.document_id, one.start) for one in records}
    others = [one for one in passages if (one.document_id, one.start) not in added]
    return (*others[:after], *records, *others[after:]), tuple(rows)


def may_be_row(passage: Passage) -> bool:
    """Return whether a passage is a record, or has rows of a table."""
    is_record = "#" in passage.document_id or "text_fields" in passage.metadata
    return is_record or BAR in passage.text


def _passages_of(index: Index, row: NamedRow) -> Iterator[Passage]:
    """Yield the line of a row, or the first chunk of a document that is a record.

    Its title is the name in the question: a model does not know "Sheikh | Imran" by it.
    """
    chunks = index.catalog.chunks(row.document)
    cells = [f"{column}: {text}" for column, text in row.texts.items()]
    for chunk in chunks:
        start = 0
        for line in chunk.text.split("\n"):
            if BAR in line and all(cell in line for cell in cells):
                at = chunk.start + start
                end = at + len(line)
                yield replace(to_passage(chunk), title=row.name, text=line, start=at, end=end)
                return
            start += len(line) + 1
    if chunks and BAR not in chunks[0].text:
        yield to_passage(chunks[0])
