"""Fold the events of an answer into one value."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from itertools import chain

from expertrag.api.errors import ServerError
from expertrag.api.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    GateEvent,
    PassagesEvent,
    TableEvent,
    UsageEvent,
)
from expertrag.api.types import Answer, Citation, GateDecision, Usage


class AnswerFolder:
    """Collects events in order and builds an ``Answer`` from them."""

    def __init__(self) -> None:
        self._decision: GateDecision | None = None
        self._passages: PassagesEvent | None = None
        self._table: TableEvent | None = None
        self._deltas: list[DeltaEvent] = []
        self._citations: list[Citation] = []
        self._usage = Usage()
        self._done: DoneEvent | None = None

    def add(self, event: AnswerEvent) -> None:
        """Add the next event."""
        match event:
            case GateEvent():
                self._decision = event.decision
            case PassagesEvent():
                self._passages = event
            case TableEvent():
                self._table = event
            case DeltaEvent():
                self._deltas.append(event)
            case CitationEvent():
                self._citations.append(event.citation)
            case UsageEvent():
                self._usage = event.usage
            case DoneEvent():
                self._done = event

    def answer(self) -> Answer:
        """Return the whole answer.

        :raises ServerError: if the events ended early.
        """
        if self._decision is None or self._done is None:
            raise ServerError(
                "the answer ended before it was complete; ask again", reason="ANSWER_INCOMPLETE"
            )
        retrieval, written = self._passages, join_deltas(self._deltas)
        return Answer(
            text=written.text,
            decision=self._decision,
            passages=retrieval.passages if retrieval else (),
            citations=tuple(self._citations),
            usage=self._usage,
            finish_reason=self._done.finish_reason,
            support=self._done.support,
            generation=retrieval.generation if retrieval else None,
            model=self._done.model,
            p_sufficient=self._done.p_sufficient,
            logprobs=written.logprobs,
            from_documents=self._done.from_documents,
            unsupported_reason=self._done.unsupported_reason,
            table=self._table.table if self._table else None,
            coverage=self._table.coverage if self._table else None,
        )


def join_deltas(deltas: Sequence[DeltaEvent]) -> DeltaEvent:
    """Join several pieces of text into one."""
    return DeltaEvent(
        "".join(delta.text for delta in deltas),
        tuple(chain.from_iterable(delta.logprobs for delta in deltas)),
    )


def fold(events: Iterable[AnswerEvent]) -> Answer:
    """Fold a whole stream."""
    folder = AnswerFolder()
    for event in events:
        folder.add(event)
    return folder.answer()


async def afold(events: AsyncIterable[AnswerEvent]) -> Answer:
    """Fold a whole asynchronous stream."""
    folder = AnswerFolder()
    async for event in events:
        folder.add(event)
    return folder.answer()
