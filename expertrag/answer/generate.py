"""Generate an answer, closed book or open book, as events."""

from __future__ import annotations

from collections.abc import Generator as Yielding
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

from expertrag.answer.abstain import AbstentionPolicy
from expertrag.answer.calculated import answer_by_calculation, asks_to_calculate, calculate
from expertrag.answer.context import AnswerContext, ClosedBook
from expertrag.answer.ground import GroundedAnswer, Grounder, is_reply
from expertrag.answer.hops import Hops
from expertrag.answer.in_force import keep_in_force
from expertrag.answer.portions import CHECKED, PassageSession
from expertrag.answer.question_set import QuestionSet
from expertrag.answer.reply import ReplyStream, check_answered, mark_citations
from expertrag.answer.scan.scanner import Scanner
from expertrag.answer.scanned import answer_by_scan
from expertrag.answer.scope import is_set
from expertrag.answer.search import Gathered, gather_passages, search_for_gate
from expertrag.answer.sessions import Sessions
from expertrag.answer.tables import (
    answer_from_table,
    compute_fact,
    coverage_of_passages,
    find_unrecognised_set,
    is_complete,
    query_tables,
)
from expertrag.answer.whole_document import answer_about_document, find_document, is_about_document
from expertrag.api.errors import InvalidArgument
from expertrag.api.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    PassagesEvent,
    TableEvent,
    UsageEvent,
)
from expertrag.api.folding import join_deltas
from expertrag.api.tables import AnswerTable
from expertrag.api.types import FinishReason, GateMode, Passage, QuestionScope
from expertrag.grounding.wording import wording
from expertrag.llm.abstentions import abstention_of
from expertrag.queries.wording import warn_incomplete

if TYPE_CHECKING:
    from expertrag.answer.gate import Decider
    from expertrag.answer.reading_policy import ReadingPolicy
    from expertrag.answer.rerank import ServedReranker
    from expertrag.llm.base import Generator
    from expertrag.queries.result import QueryResult
    from expertrag.runtime.meter import Meter

Events = Yielding[AnswerEvent, None, None]

_MAY_BE_WRONG = "The answer is not sure enough."


class Answering:
    """Generates answers with a language model; the caller decides whether to retrieve."""

    def __init__(
        self,
        generator: Generator,
        reading: ReadingPolicy,
        decider: Decider,
        reranker: ServedReranker | None = None,
    ) -> None:
        self._generator = generator
        self._model = generator.name
        self._reranker = reranker
        self._reading = reading
        self._decider = decider
        self._grounder = Grounder(reading)
        self._policy = AbstentionPolicy(reading.strict_from, reading.confidence)
        self._scanner = Scanner(generator)
        self.sessions = Sessions(generator, reading)
        self._hops = Hops(generator, self.sessions, reranker)

    def least_doubt(self, context: AnswerContext) -> float | None:
        """Read the best passages; return the lowest doubt that one holds the answer.

        None if there are none, if none fits the context, or if the model cannot tell.
        """
        # with a small reader's own doubt, a quarter of general questions would retrieve
        if not (self._reading.best_first and self._reading.probe):
            return None
        context.should_stop()
        best = search_for_gate(context, self._reranker).passages[:CHECKED]
        try:
            kept = self.sessions.pack(context.request, best).kept
        except InvalidArgument:
            return None
        return self.sessions.least_doubt(context, kept)

    def answer_closed_book(self, answer: ClosedBook, meter: Meter) -> Events:
        """Answer closed book, in an open session."""
        begun = ""  # not the whole text: a slow reader would keep it in memory
        for delta in meter.stream("generate", answer.deltas()):
            begun = begun.strip() or delta.text
            yield delta
        meter.count(answer.session)
        check_answered(begun, answer.session)
        yield from self._finish(meter, DoneEvent(answer.session.finish_reason))

    def answer_open_book(self, context: AnswerContext) -> Events:
        """Answer open book: from a set of documents, or from the passages of a search."""
        if whole := self._answer_about_set(context):
            yield from self._finish_with_usage(context, whole)
            return
        if otherwise := context.asks_about.otherwise:
            context = replace(context, asks_about=QuestionSet(otherwise))
        context, first = self._take_first_hop(context)
        draft = partial(self.sessions.draft, context)
        gathered = gather_passages(context, self._reranker, draft)
        if fact := self._compute_fact(context, gathered):
            yield from self._finish_with_usage(context, fact)
            return
        gathered = gathered.ending_with(first, context.request.k)
        if calculated := self._calculate(context, gathered):
            yield from self._finish_with_usage(context, calculated)
            return
        if not gathered.passages:
            yield PassagesEvent((), gathered.result.generation)
            yield from self._answer_without_passages(context)
            return
        yield from self._answer_from_passages(context, gathered)

    def _answer_from_passages(
        self, context: AnswerContext, gathered: Gathered, *, is_last: bool = False
    ) -> Events:
        """Read the passages, generate, and ground the answer.

        :param is_last: whether there is no other way to answer, if no passage may.
        """
        request, meter = context.request, context.meter
        strict = request.mode is GateMode.STRICT
        if self._reading.best_first:
            gathered = keep_in_force(context, gathered, self.sessions)
        packed = self.sessions.pack(request, gathered.passages)
        meter.add(passages_dropped=len(packed.dropped))
        shown = list(_show_passages(context, packed.kept, gathered))
        p_sufficient = None
        if strict and request.steps == 1:  # the judge only knows similarities to the question
            p_sufficient = self._decider.p_sufficient(
                request.question, packed.kept, context.view, meter
            )
            if self._policy.rejects(p_sufficient):
                yield from (*shown, *self._abstain(context, p_sufficient=p_sufficient))
                return
        reading = self.sessions.open_book(context, packed.kept, gathered.outdated)
        reading = replace(reading, replaced=gathered.replaced)
        with closing(reading.session):
            if not (is_last or reading.may_answer) and (events := self._answer_otherwise(context)):
                meter.count(reading.session)
                yield from events
                return
            yield from shown
            if strict:
                yield from self._answer_strictly(context, reading, p_sufficient)
            else:
                yield from self._answer_with_citations(context, reading)

    def _take_first_hop(self, context: AnswerContext) -> tuple[AnswerContext, Sequence[Passage]]:
        """Answer the first part of a question of two hops; return the context of the second part.

        :returns: also the passage that the first part was answered from; none for other questions.
        """
        if context.scope is not QuestionScope.TWO_HOPS or not context.is_plain:
            return context, ()
        return self._hops.take_first(context) or (context, ())

    def _answer_about_set(self, context: AnswerContext) -> Iterator[AnswerEvent] | None:
        """Answer from a table, from all documents of a family, or about a whole document.

        None if a few passages answer.
        """
        about = context.asks_about
        if result := query_tables(context, self._generator):
            return self._calculate_instead(context, result) or answer_from_table(context, result)
        if about.family and self._scanner.can_read:
            return answer_by_scan(context, self._scanner)
        if is_about_document(context) and (document := find_document(context)):
            return answer_about_document(context, document)
        return None

    def _answer_otherwise(self, context: AnswerContext) -> Iterator[AnswerEvent] | None:
        """Answer what no passage may answer: from a table, or in two hops; None if that fails."""
        if about := find_unrecognised_set(context):
            about_set = replace(context, asks_about=about)
            result = query_tables(about_set, self._generator)
            if result and result.rows.rows:
                return self._finish_with_usage(context, answer_from_table(about_set, result))
        if self._hops.may_need_two(context) and (hop := self._hops.take_first(context)):
            second, others = hop
            gathered = gather_passages(second, self._reranker)
            gathered = gathered.ending_with(others, second.request.k)
            return self._answer_from_passages(second, gathered, is_last=True)
        return None

    def _compute_fact(
        self, context: AnswerContext, gathered: Gathered
    ) -> Iterator[AnswerEvent] | None:
        """Compute a fact or a comparison if the passages are mostly rows of one table."""
        if context.is_strict:
            return None
        computed = compute_fact(context, gathered, self._generator)
        return answer_from_table(*computed) if computed else None

    def _calculate(
        self, context: AnswerContext, gathered: Gathered
    ) -> Iterator[AnswerEvent] | None:
        """Calculate a number from tables in the passages, if the question asks for one."""
        answer = calculate(context, gathered.passages, self._generator)
        return answer_by_calculation(context, answer, gathered.passages) if answer else None

    def _calculate_instead(
        self, context: AnswerContext, result: QueryResult
    ) -> Iterator[AnswerEvent] | None:
        """Calculate from the passages of a search, if a query has several readings."""
        if not asks_to_calculate(context, self._generator) or is_complete(context, result):
            return None
        return self._calculate(context, gather_passages(context, self._reranker))

    def _finish_with_usage(self, context: AnswerContext, events: Iterator[AnswerEvent]) -> Events:
        """Pass the events of an answer on, with its usage before the last one."""
        for event in events:
            if isinstance(event, DoneEvent):
                yield from self._finish(context.meter, event)
            else:
                yield event

    def _answer_without_passages(self, context: AnswerContext) -> Iterator[AnswerEvent]:
        """Abstain in STRICT, else answer closed book: the filter admits no passage."""
        if context.request.mode is GateMode.STRICT:
            yield from self._abstain(context, support=0.0)
            return
        with closing(self.sessions.open_closed_book(context)) as session:
            yield from self.answer_closed_book(ClosedBook(session), context.meter)

    def _answer_with_citations(
        self, context: AnswerContext, reading: PassageSession
    ) -> Iterator[AnswerEvent]:
        """Answer as the text is generated; the citations follow."""
        stream, text = self._stream_reply(context, reading), []
        for delta in stream:
            text.append(delta.text)
            yield delta
        context.meter.count(reading.session)
        if stream.abstained:
            yield from self._abstain(context, p_sufficient=reading.p_sufficient)
            return
        check_answered("".join(text), reading.session)
        written = "".join([*text, join_deltas(stream.markers).text])
        grounded = self._grounder.ground(context, written, reading, reading.p_sufficient)
        yield from mark_citations(stream.markers, grounded.grounding)
        if note := self._grounder.conflict_note(context, written, reading, grounded.grounding):
            yield DeltaEvent(note)
        yield from self._end(context, reading, grounded, reading.p_sufficient)

    def _answer_strictly(
        self, context: AnswerContext, reading: PassageSession, p_sufficient: float | None
    ) -> Iterator[AnswerEvent]:
        """Withhold the answer until it is known to be supported."""
        meter, stream = context.meter, self._stream_reply(context, reading)
        fitted = self._reading.confidence is not None and reading.verify is not None

        def is_withheld(*, verdict: bool) -> bool:
            sure = reading.p_sufficient
            doubted = self._policy.withholds_doubtful(sure, verdict=verdict, fitted=fitted)
            return stream.abstained or doubted

        # stop generating once any answer would be withheld; the verdict's bound is checked last
        said = list(takewhile(lambda _: not is_withheld(verdict=True), stream))
        meter.count(reading.session)
        p_sufficient = reading.p_sufficient if p_sufficient is None else p_sufficient
        text = join_deltas([*said, *stream.markers]).text
        if is_withheld(verdict=bool(wording(text).verdict)):
            yield from self._abstain(context, p_sufficient=p_sufficient)
            return
        check_answered(text, reading.session)
        grounded = self._grounder.ground(context, text, reading, p_sufficient)
        judgement, grounding = grounded.judgement, grounded.grounding
        if self._policy.withholds_unsupported(
            judgement, grounding.support, internal=context.internal
        ):
            yield from self._abstain(
                context,
                support=judgement.support,
                p_sufficient=p_sufficient,
                reason=judgement.reason or _MAY_BE_WRONG,
            )
            return
        note = DeltaEvent(self._grounder.conflict_note(context, text, reading, grounding))
        yield join_deltas([*said, *mark_citations(stream.markers, grounding), note])
        yield from self._end(context, reading, grounded, p_sufficient)

    def _stream_reply(self, context: AnswerContext, reading: PassageSession) -> ReplyStream:
        """Read the reply of a session as it is generated."""
        sampling = context.request.sampling
        return ReplyStream(
            context.meter.stream("generate", reading.deltas),
            reader=is_reply(self._reading, sampling),
            p_sufficient=(lambda: reading.p_sufficient) if sampling.constraint is None else None,
        )

    def _abstain(
        self,
        context: AnswerContext,
        *,
        support: float | None = None,
        p_sufficient: float | None = None,
        reason: str = "",
    ) -> Iterator[AnswerEvent]:
        yield DeltaEvent(abstention_of(context.request.question))
        done = DoneEvent(FinishReason.ABSTAINED, support, p_sufficient=p_sufficient)
        yield from self._finish(context.meter, replace(done, unsupported_reason=reason))

    def _end(
        self,
        context: AnswerContext,
        reading: PassageSession,
        grounded: GroundedAnswer,
        p_sufficient: float | None,
    ) -> Iterator[AnswerEvent]:
        yield from map(CitationEvent, grounded.grounding.citations)
        reason = grounded.judgement.reason
        if is_set(context.scope) and not reason:
            reason = warn_incomplete(coverage_of_passages(context, reading.passages))
        done = DoneEvent(
            reading.session.finish_reason,
            grounded.judgement.support,
            p_sufficient=p_sufficient,
            from_documents=True,
            unsupported_reason=reason,
        )
        yield from self._finish(context.meter, done)

    def _finish(self, meter: Meter, done: DoneEvent) -> Iterator[AnswerEvent]:
        """End an answer: its cost, then how it ended and the model that wrote it."""
        yield UsageEvent(meter.usage())
        yield replace(done, model=self._model)


def _show_passages(
    context: AnswerContext, kept: Sequence[Passage], gathered: Gathered
) -> Iterator[AnswerEvent]:
    """Yield the passages that are read, and for a question about a set, what they cover."""
    yield PassagesEvent(tuple(kept), gathered.result.generation)
    if is_set(context.scope):
        yield TableEvent(AnswerTable((), ()), coverage_of_passages(context, kept))
