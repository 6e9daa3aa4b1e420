"""Generate an answer, closed book or open book.

gather    passages, by one or several searches
generate  tokens
ground    citations and support, or an abstention
"""

from __future__ import annotations

from collections.abc import Generator as Yielding
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

from expertrag.answer.abstain import AbstentionPolicy
from expertrag.answer.confidence import COMPARED_BELOW, Judgement, judge_answer, p_wrong
from expertrag.answer.context import AnswerContext, ClosedBook
from expertrag.answer.correction import correct_former_value
from expertrag.answer.decide import Decider
from expertrag.answer.reading import (
    CHECKED,
    PassageSession,
    least_doubt,
    open_session,
    read_again,
    reads_on,
)
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.reply import Spoken, draft_of, ground_reply, mark_citations, reply_sampling
from expertrag.answer.rerank import ServedReranker, active_on, depth_of, search_candidates
from expertrag.answer.retrieve import DRAFT_TOKENS, Gathered, gather
from expertrag.answer.searching import count_wanted_passages, search_once
from expertrag.api.contrast import WeakSide
from expertrag.api.errors import InvalidArgument
from expertrag.api.folding import join_deltas
from expertrag.api.types import (
    AnswerEvent,
    AnswerRequest,
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    FinishReason,
    GateMode,
    Passage,
    PassagesEvent,
    Sampling,
    UsageEvent,
)
from expertrag.grounding.conflicts import conflict_note, passages_of
from expertrag.grounding.ground import Grounding, ground
from expertrag.grounding.wording import wording
from expertrag.llm import prompt
from expertrag.llm.base import Generator, Message, Session
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag.runtime.meter import Meter

if TYPE_CHECKING:
    from expertrag_retriever.types import SearchResult

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
        self._reranker = reranker
        self._generator = generator
        self._reading = reading
        self._decider = decider
        self._family = prompt.FAMILIES[generator.family]
        self._policy = AbstentionPolicy(reading.strict_from, reading.confidence)

    def least_doubt(self, context: AnswerContext) -> float | None:
        """Read the best passages; return the lowest doubt that one holds the answer.

        None if there are none, if none fits the context, or if the model cannot tell.
        """
        # with a small reader's own doubt, a quarter of general questions would retrieve
        if not (self._reading.best_first and self._reading.probe):
            return None
        context.should_stop()
        depth = depth_of(count_wanted_passages(context.request), self._active(context))
        result = search_once(context, context.request.question, depth)
        try:
            kept = self._pack(context.request, result.passages[:CHECKED]).kept
        except InvalidArgument:
            return None
        sampling = replace(context.request.sampling, constraint=None, logprobs=None, contrast=None)

        def begin(shown: Sequence[Passage]) -> Session:
            context.should_stop()
            messages = prompt.open_book(context.request.question, shown, family=self._family)
            return self._begin(context, messages, sampling, from_passages=True)

        return least_doubt(begin, kept, context.meter)

    def begin_closed_book(self, context: AnswerContext) -> Session:
        """Open the session of a closed-book answer."""
        return self._begin(context, context.closed_book, context.request.sampling)

    def answer_closed_book(
        self, answer: ClosedBook, meter: Meter
    ) -> Yielding[AnswerEvent, None, None]:
        """Answer closed book, in an open session."""
        yield from meter.stream("generate", answer.deltas())
        meter.count(answer.session)
        yield UsageEvent(meter.usage())
        yield DoneEvent(answer.session.finish_reason, model=self._generator.name)

    def answer_open_book(self, context: AnswerContext) -> Yielding[AnswerEvent, None, None]:
        """Answer open book."""
        request, meter = context.request, context.meter
        gathered = self._gather(context)
        strict = request.mode is GateMode.STRICT
        if not gathered.passages:
            yield PassagesEvent((), gathered.result.generation)
            yield from self._without_passages(context)
            return
        packed = self._pack(request, gathered.passages)
        meter.add(passages_dropped=len(packed.dropped))
        yield PassagesEvent(packed.kept, gathered.result.generation)
        p_sufficient = None
        if strict and request.steps == 1:  # the judge only knows similarities to the question
            p_sufficient = self._decider.p_sufficient(
                request.question, packed.kept, context.view, meter
            )
            if self._policy.rejects(p_sufficient):
                yield from self._abstention(meter, p_sufficient=p_sufficient)
                return
        reading = self._begin_open_book(context, packed.kept)
        reading = replace(reading, replaced=gathered.replaced)
        with closing(reading.session):
            if strict:
                yield from self._strict(context, reading, p_sufficient)
            else:
                yield from self._answer_with_citations(context, reading)

    def _begin(
        self,
        context: AnswerContext,
        messages: Sequence[Message],
        sampling: Sampling,
        policy: SequencePolicy | None = None,
        *,
        from_passages: bool = False,
        without_passages: Sequence[Message] | None = None,
    ) -> Session:
        return self._generator.begin(
            messages,
            sampling,
            context.should_stop,
            policy or context.policy,
            from_passages=from_passages,
            without_passages=without_passages,
        )

    def _begin_open_book(
        self, context: AnswerContext, passages: Sequence[Passage]
    ) -> PassageSession:
        request, generator = context.request, self._generator
        begun = request.sampling.constraint is None
        sampling = reply_sampling(request.sampling, reader=self._reading.reader)

        prompt_of = partial(
            prompt.open_book,
            request.question,
            strict=request.mode is GateMode.STRICT,
            family=self._family,
            begun=begun,
            instructions=request.instructions,
        )
        contrast = sampling.contrast
        bare = prompt_of(()) if contrast and contrast.weak is WeakSide.NO_PASSAGES else None

        def begin(shown: Sequence[Passage]) -> Session:
            return self._begin(
                context, prompt_of(shown), sampling, from_passages=True, without_passages=bare
            )

        if reads_on(self._reading, request, passages, begun=begun):
            with context.meter.stage("generate"):
                reading = open_session(begin, passages, context.meter)
        else:
            reading = PassageSession.of(begin(passages), passages)
        if not begun:
            return reading
        shown = reading.shown  # `reading` holds `verify`: a cycle would keep its generation open

        def verify(answer: str) -> Session:
            asked = prompt.verification(prompt_of(shown), answer)
            one = Sampling(max_tokens=1, adapter=sampling.adapter)
            salt = context.policy.salt
            policy = generator.make_policy(one, context.route.answers, salt)
            return self._begin(context, asked, one, policy)

        def ask_again(answer: str, sentence: str, tokens: int) -> Session:
            asked = prompt.correction(prompt_of(shown), answer, sentence)
            left = max(1, sampling.max_tokens - tokens)
            return self._begin(context, asked, replace(sampling, max_tokens=left, contrast=None))

        reading = replace(reading, verify=verify)
        if self._reading.confidence:
            reading = correct_former_value(reading, request.question, ask_again, context.meter)
        return reading

    def _gather(self, context: AnswerContext) -> Gathered:
        """Search ``steps`` times, each after the first with a draft answer to the question."""
        request, meter = context.request, context.meter
        sampling = replace(
            reply_sampling(request.sampling, reader=self._reading.reader),
            max_tokens=min(request.sampling.max_tokens, DRAFT_TOKENS),
            constraint=None,  # constrains the answer, not the drafts
            logprobs=None,
        )

        active = self._active(context)

        def search(query: str) -> SearchResult:
            context.should_stop()
            find = partial(search_once, context, query)
            wanted = count_wanted_passages(request)
            done = search_candidates(find, query, wanted, active, meter.stage, context.should_stop)
            meter.add(reranked=done.candidates, rerank_skipped=int(bool(done.skipped)))
            return done.result

        def draft(passages: Sequence[Passage]) -> str:
            messages = prompt.open_book(
                request.question, self._pack(request, passages).kept, family=self._family
            )
            with closing(self._begin(context, messages, sampling, from_passages=True)) as session:
                text = "".join(meter.stream("generate", session.stream()))
                meter.count(session)
            return draft_of(text) if self._reading.reader else text

        return gather(request.question, request.k, request.steps, search, draft)

    def _active(self, context: AnswerContext) -> ServedReranker | None:
        calibration = context.view.index.manifest.calibration
        return active_on(calibration, self._reranker, context.request.rerank)

    def _pack(self, request: AnswerRequest, passages: Sequence[Passage]) -> prompt.Packed:
        added = prompt.ADDED_TOKENS if self._reading.confidence else 0
        return prompt.pack(
            request.question,
            passages,
            self._generator.count_tokens,
            self._generator.context_tokens - request.sampling.max_tokens - added,
            self._family,
            request.instructions,
        )

    def _without_passages(self, context: AnswerContext) -> Iterator[AnswerEvent]:
        """Abstain in STRICT, else answer closed book: no passage was found (by the filter)."""
        if context.request.mode is GateMode.STRICT:
            yield from self._abstention(context.meter, support=0.0)
            return
        with closing(self.begin_closed_book(context)) as session:
            yield from self.answer_closed_book(ClosedBook(session), context.meter)

    def _answer_with_citations(
        self, context: AnswerContext, reading: PassageSession
    ) -> Iterator[AnswerEvent]:
        session = reading.session
        spoken, text = self._speak(context, reading), []
        for delta in spoken:
            text.append(delta.text)
            yield delta
        context.meter.count(session)
        p_sufficient = reading.p_sufficient
        if spoken.abstained:
            yield from self._abstention(context.meter, p_sufficient=p_sufficient)
            return
        written = "".join([*text, join_deltas(spoken.markers).text])
        grounding, judgement = self._judge(context, written, reading, p_sufficient)
        yield from mark_citations(spoken.markers, grounding)
        if note := self._conflicts(context, written, reading, grounding):
            yield DeltaEvent(note)
        yield from self._end(context, session, grounding, judgement, p_sufficient)

    def _strict(
        self, context: AnswerContext, reading: PassageSession, p_sufficient: float | None
    ) -> Iterator[AnswerEvent]:
        """Withhold the answer until it is known to be supported."""
        session = reading.session
        meter, spoken = context.meter, self._speak(context, reading)

        fitted = self._reading.confidence is not None and reading.verify is not None

        def withheld(*, verdict: bool) -> bool:
            sure = reading.p_sufficient
            doubted = self._policy.withholds_doubtful(sure, verdict=verdict, fitted=fitted)
            return spoken.abstained or doubted

        # stop generating once any answer would be withheld; the verdict's bound is checked last
        said = list(takewhile(lambda _: not withheld(verdict=True), spoken))
        meter.count(session)
        p_sufficient = reading.p_sufficient if p_sufficient is None else p_sufficient
        text = join_deltas([*said, *spoken.markers]).text
        if withheld(verdict=bool(wording(text).verdict)):
            yield from self._abstention(meter, p_sufficient=p_sufficient)
            return
        grounding, judgement = self._judge(context, text, reading, p_sufficient)
        if self._policy.withholds_unsupported(
            judgement, grounding.support, internal=context.internal
        ):
            yield from self._abstention(
                meter,
                support=judgement.support,
                p_sufficient=p_sufficient,
                unsupported_reason=judgement.reason or _MAY_BE_WRONG,
            )
            return
        note = DeltaEvent(self._conflicts(context, text, reading, grounding))
        yield join_deltas([*said, *mark_citations(spoken.markers, grounding), note])
        yield from self._end(context, session, grounding, judgement, p_sufficient)

    def _abstention(
        self,
        meter: Meter,
        *,
        support: float | None = None,
        p_sufficient: float | None = None,
        unsupported_reason: str = "",
    ) -> Iterator[AnswerEvent]:
        yield DeltaEvent(prompt.ABSTENTION)
        yield UsageEvent(meter.usage())
        yield DoneEvent(
            FinishReason.ABSTAINED,
            support,
            self._generator.name,
            p_sufficient,
            unsupported_reason=unsupported_reason,
        )

    def _end(
        self,
        context: AnswerContext,
        session: Session,
        grounding: Grounding,
        judgement: Judgement,
        p_sufficient: float | None,
    ) -> Iterator[AnswerEvent]:
        yield from map(CitationEvent, grounding.citations)
        yield UsageEvent(context.meter.usage())
        yield DoneEvent(
            session.finish_reason,
            judgement.support,
            self._generator.name,
            p_sufficient,
            from_documents=True,
            unsupported_reason=judgement.reason,
        )

    def _conflicts(
        self, context: AnswerContext, text: str, reading: PassageSession, grounding: Grounding
    ) -> str:
        """Return a note on older versions that contradict the answer, unless it is constrained."""
        if context.request.sampling.constraint is not None:
            return ""
        cited = passages_of(grounding.citations, reading.passages)
        return conflict_note(text, context.request.question, cited, reading.replaced)

    def _replies(self, context: AnswerContext) -> bool:
        """Return whether the text is a reader's reply; a constrained text is not one."""
        return self._reading.reader and context.request.sampling.constraint is None

    def _speak(self, context: AnswerContext, reading: PassageSession) -> Spoken:
        deltas = context.meter.stream("generate", reading.deltas)
        in_words = context.request.sampling.constraint is None
        return Spoken(
            deltas,
            reader=self._replies(context),
            sure=(lambda: reading.p_sufficient) if in_words else None,
        )

    def _judge(
        self,
        context: AnswerContext,
        text: str,
        reading: PassageSession,
        p_sufficient: float | None,
    ) -> tuple[Grounding, Judgement]:
        """Ground an answer, and judge whether it is right; if not sure, after reading more."""
        confidence, wrong = self._reading.confidence, None
        if confidence:
            answer = prompt.Reply.of(text).answer
            wrong = p_wrong(confidence.verifier, reading, answer, context.meter)
        grounding = self._ground(context, text, reading)
        judgement = judge_answer(confidence, reading, grounding, wrong, p_sufficient)
        if judgement.fitted and judgement.support < COMPARED_BELOW:
            reading = read_again(reading, text, context.meter)
            judgement = judge_answer(confidence, reading, grounding, wrong, p_sufficient)
        if judgement.fitted and not judgement.reason:
            grounding = replace(grounding, citations=grounding.sources)
        return grounding, judgement

    def _ground(self, context: AnswerContext, text: str, reading: PassageSession) -> Grounding:
        find = ground_reply if self._replies(context) else ground
        alone = len(reading.shown) == 1
        passages = reading.passages if alone else reading.shown  # all tell which words are rare
        with context.meter.stage("ground"):
            return find(text, passages, context.request.question, (1,) if alone else ())


def by_adapter(sampling: Sampling, events: Iterator[AnswerEvent]) -> Iterator[AnswerEvent]:
    """Name the adapter in the model that an answer comes from, as MODEL@ADAPTER."""
    for event in events:
        if sampling.adapter and isinstance(event, DoneEvent):
            event = replace(event, model=f"{event.model}@{sampling.adapter}")
        yield event
