"""The events of an answer about a set: its passages and table, a text with citations, and its end.

STRICT gives no count, sum, or yes or no that it cannot stand for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag.api.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    PassagesEvent,
    TableEvent,
)
from expertrag.api.types import FinishReason, QuestionScope
from expertrag.llm.abstentions import abstention_of
from expertrag.queries.wording import warn_incomplete

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.api.tables import AnswerTable, Coverage
    from expertrag.api.types import Citation, Passage

MOST_PASSAGES = 20
"""Most documents whose passages come with an answer; the table names all of its documents."""


@dataclass(frozen=True, slots=True)
class SetAnswer:
    """An answer about a set; ``passages`` are of the first of its documents."""

    passages: tuple[Passage, ...]
    table: AnswerTable
    coverage: Coverage
    text: str
    citations: tuple[Citation, ...]


def stream_set_answer(context: AnswerContext, answer: SetAnswer) -> Iterator[AnswerEvent]:
    """Yield the events of an answer; the last one is a ``DoneEvent``, without usage before it."""
    coverage = answer.coverage
    if answer.passages:
        yield PassagesEvent(answer.passages, context.view.index.generation)
    yield TableEvent(answer.table, coverage)
    is_list = context.scope is QuestionScope.LIST
    if context.is_strict and coverage.complete is not True and not is_list:
        yield DeltaEvent(abstention_of(context.request.question))
        yield DoneEvent(FinishReason.ABSTAINED, unsupported_reason=coverage.reason)
        return
    yield DeltaEvent(answer.text)
    yield from map(CitationEvent, answer.citations)
    reason = warn_incomplete(coverage)
    yield DoneEvent(FinishReason.STOP, 1.0, from_documents=True, unsupported_reason=reason)
