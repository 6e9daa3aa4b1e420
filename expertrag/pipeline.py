"""The way of a query, in one straight line: embed, prefill, decide, retrieve, generate, ground.

    embed     one embedding of the question
    prefill   closed-book prefill and the first tokens: the gate's signals, and, if the gate
              says so, the beginning of the answer (no second pass)
    gate      GateDecision with its reason
    search    passages, only if decided
    generate  tokens
    ground    citations and support, or an abstention

The pipeline raises only the errors of ``expertrag.errors``. It is thread-safe; the store can be
exchanged under it while answers are being written.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from expertrag import prompt, validation
from expertrag._version import __version__
from expertrag.audit import Audit
from expertrag.config import GateConfig
from expertrag.deciding import ClosedBook, Decider, base_encoder
from expertrag.evidence import evidence_signals
from expertrag.folding import joined
from expertrag.gathering import DRAFT_TOKENS, gather
from expertrag.generation.base import Generator, Message, Session, ShouldStop, never_stop
from expertrag.generation.transformers_backend import TransformersGenerator
from expertrag.grounding import SUPPORTED, Grounding, ground
from expertrag.meter import Meter
from expertrag.served_gate import ServedGate
from expertrag.served_index import LoadEmbedder, ServedIndex, View
from expertrag.translate import translated_errors
from expertrag.types import (
    AnswerEvent,
    AnswerRequest,
    CitationEvent,
    DeltaEvent,
    DocumentInput,
    DoneEvent,
    Feedback,
    FinishReason,
    GateDecision,
    GateEvent,
    GateMode,
    IndexStats,
    Passage,
    PassagesEvent,
    RetrieveRequest,
    RetrieveResult,
    Sampling,
    ServerInfo,
    UpdateReport,
    UsageEvent,
)
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate.sufficiency import SUFFICIENT

if TYPE_CHECKING:
    from expertrag_retriever.encoder import SentenceTransformerEmbedder
    from expertrag_retriever.partitions import QueryVectors
    from expertrag_retriever.types import SearchResult

SAMPLING = Sampling()


class Pipeline:
    """Embedder, store, gate and language model, put together."""

    def __init__(
        self,
        store: Path,
        embedder: SentenceTransformerEmbedder,
        generator: Generator,
        *,
        gate: ServedGate | None = None,
        policy: GateConfig | None = None,
        load_embedder: LoadEmbedder | None = None,
        audit: Audit | None = None,
    ) -> None:
        """Open the store; the models are loaded already and may be shared.

        :param gate: a fitted gate; None for the training-free one.
        :param policy: its threshold, or the retrieval rate to hold; None for its own threshold.
        :param load_embedder: loads the embedder that the store names, for when it is moved to
            another one while it is served.
        :param audit: log of the decisions; None keeps none. It is closed with the pipeline.
        :raises ExpertRAGError: if the store cannot be served, with the cure in the message.
        """
        self._generator = generator
        self._decider = Decider(generator, gate, policy or GateConfig())
        self._audit = audit or Audit()
        with translated_errors():
            self._served = ServedIndex(store, embedder, load_embedder)

    def close(self) -> None:
        """Close the store; answers under way end first."""
        self._served.close()
        self._audit.close()

    def answer(
        self, request: AnswerRequest, should_stop: ShouldStop = never_stop
    ) -> Iterator[AnswerEvent]:
        """Answer as events, in the order gate, passages, delta*, citation*, usage, done.

        Work happens while the iterator is advanced; closing it frees everything at once.
        """
        validation.check_answer(request)
        self._generator.check(request.sampling)
        return self._answer(request, should_stop)

    def retrieve(
        self, request: RetrieveRequest, should_stop: ShouldStop = never_stop
    ) -> RetrieveResult:
        """Search without answering."""
        validation.check_retrieve(request)
        started = time.perf_counter()
        with translated_errors(), self._served.lease() as view:
            should_stop()
            result = view.searcher.search(
                request.query,
                k=request.k,
                mode=request.mode,
                filter=request.filter or None,
                domain=request.domain,
            )
        return RetrieveResult(
            passages=result.passages,
            generation=result.generation,
            vectors_scanned=result.vectors_scanned,
            seconds=time.perf_counter() - started,
        )

    def decide(
        self,
        question: str,
        mode: GateMode = GateMode.AUTO,
        *,
        threshold: float | None = None,
        domain: str | None = None,
        should_stop: ShouldStop = never_stop,
        meter: Meter | None = None,
        sampling: Sampling = SAMPLING,
    ) -> GateDecision:
        """Run the gate alone.

        :param meter: counts what the decision costs, where the caller wants to know.
        :param sampling: of a draft, for a gate that looks at one.
        """
        request = AnswerRequest(
            question=question, mode=mode, threshold=threshold, domain=domain, sampling=sampling
        )
        validation.check_answer(request)
        meter = meter or Meter()
        with (
            translated_errors(),
            self._served.lease() as view,
            self._audit.answering(question, view.index.generation) as entry,
        ):
            vector = self._embed_query(request, view, meter, should_stop)
            domain = self._domain(request, view)
            with closing(self._begin_closed_book(request, domain, should_stop)) as session:
                answer = ClosedBook(session)
                decision = self._decider.decide(request, view, vector, answer, meter, should_stop)
                meter.count(session)
                return entry.decided(decision)

    def evidence(self, question: str, passages: Sequence[Passage]) -> dict[str, float]:
        """Measure what passages tell of a question; a fitted gate judges them by it."""
        with translated_errors(), self._served.lease() as view:
            return evidence_signals(question, passages, base_encoder(view.embedder))

    def feedback(self, feedback: Feedback) -> None:
        """Keep what a person says of an answer, beside the audit log.

        :raises Conflict: no audit log is kept.
        """
        self._audit.feedback(feedback)

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Literal["document", "query"] = "document",
        domain: str | None = None,
        should_stop: ShouldStop = never_stop,
    ) -> list[list[float]]:
        """Encode texts; L2-normalised vectors in the order of the texts."""
        validation.check_texts(texts)
        should_stop()
        with translated_errors(), self._served.lease() as view:
            embedder = view.embedder
            encode = embedder.encode_queries if role == "query" else embedder.encode_documents
            vectors: list[list[float]] = encode(texts, domain).tolist()
        return vectors

    def upsert(self, documents: Iterable[DocumentInput]) -> UpdateReport:
        """Add or replace documents as one new generation, and serve it."""
        with translated_errors():
            return self._served.upsert(documents)

    def delete(self, ids: Sequence[str]) -> UpdateReport:
        """Delete documents as one new generation, and serve it."""
        with translated_errors():
            return self._served.delete(ids)

    def stats(self) -> IndexStats:
        """Describe the generation that is being served."""
        return self._served.stats()

    def generation_counters(self) -> Mapping[str, int]:
        """Return what the language model has done; see :meth:`Generator.counters`."""
        return self._generator.counters()

    def info(self) -> ServerInfo:
        """Say what answers."""
        with self._served.lease() as view:
            gate, embedder = self._decider.name(view), view.embedder.name
        return ServerInfo(
            version=__version__,
            embedder=embedder,
            model=self._generator.name,
            gate=gate,
            context_tokens=self._generator.context_tokens,
            max_query_bytes=validation.MAX_QUERY_BYTES,
            max_k=validation.MAX_K,
            index=self.stats(),
        )

    def _answer(self, request: AnswerRequest, should_stop: ShouldStop) -> Iterator[AnswerEvent]:
        meter = Meter()
        with (
            translated_errors(),
            self._served.lease() as view,
            self._audit.answering(request.question, view.index.generation, meter) as entry,
        ):
            vector = None
            if request.mode is not GateMode.NEVER:
                vector = self._embed_query(request, view, meter, should_stop)
            domain = self._domain(request, view)
            session = self._begin_closed_book(request, domain, should_stop)
            with closing(session):
                answer = ClosedBook(session)
                decision = self._decider.decide(request, view, vector, answer, meter, should_stop)
                yield GateEvent(entry.decided(decision))
                if not decision.retrieve:
                    yield from map(entry.noted, self._closed_book(answer, meter))
                    self._decider.answered(decision, meter.usage())
                    return
            meter.count(session)
            request = replace(
                request,
                k=min(decision.k or request.k, request.k),
                steps=decision.steps or request.steps,
            )
            weight = decision.retrieval_weight
            events = self._open_book(request, view, vector, domain, weight, meter, should_stop)
            yield from map(entry.noted, events)
            self._decider.answered(decision, meter.usage())

    def _embed_query(
        self, request: AnswerRequest, view: View, meter: Meter, should_stop: ShouldStop
    ) -> QueryVectors:
        should_stop()
        with meter.stage("embed"):
            return view.searcher.encode(request.question, request.domain, request.filter or None)

    def _domain(self, request: AnswerRequest, view: View) -> str | None:
        """Whose expert answers, where the language model has experts for domains."""
        if not self._generator.experts or request.domain:
            return request.domain
        embedder = view.embedder
        names = (*embedder.experts, GENERAL)
        return names[int(embedder.posteriors([request.question])[0].argmax())]

    def _begin_closed_book(
        self, request: AnswerRequest, domain: str | None, should_stop: ShouldStop
    ) -> Session:
        messages = prompt.closed_book(request.question)
        return self._generator.begin(messages, request.sampling, should_stop, domain)

    def _begin_open_book(
        self,
        request: AnswerRequest,
        messages: Sequence[Message],
        domain: str | None,
        weight: float | None,
        sampling: Sampling,
        should_stop: ShouldStop,
    ) -> Session:
        if weight is None:
            return self._generator.begin(messages, sampling, should_stop, domain)
        assert isinstance(self._generator, TransformersGenerator), "checked by the decider"
        alone = prompt.closed_book(request.question)
        return self._generator.begin_mixed(messages, alone, weight, sampling, should_stop, domain)

    def _closed_book(self, answer: ClosedBook, meter: Meter) -> Iterator[AnswerEvent]:
        yield from meter.stream("generate", answer.deltas())
        meter.count(answer.session)
        yield UsageEvent(meter.usage())
        yield DoneEvent(answer.session.finish_reason, model=self._generator.name)

    def _open_book(
        self,
        request: AnswerRequest,
        view: View,
        vector: QueryVectors | None,
        domain: str | None,
        weight: float | None,
        meter: Meter,
        should_stop: ShouldStop,
    ) -> Iterator[AnswerEvent]:
        """Answer from the documents; with a weight of them, from both prompts."""
        result = self._gather(request, view, vector, domain, meter, should_stop)
        strict = request.mode is GateMode.STRICT
        if not result.passages:
            yield PassagesEvent((), result.generation)
            yield from self._without_passages(request, domain, strict, meter, should_stop)
            return
        packed = self._packed(request, result.passages)
        meter.add(passages_dropped=len(packed.dropped))
        yield PassagesEvent(packed.kept, result.generation)
        p_sufficient = None
        if strict and request.steps == 1:  # the judge knows similarities to the question alone
            p_sufficient = self._decider.p_sufficient(request.question, packed.kept, view, meter)
            if p_sufficient is not None and p_sufficient < SUFFICIENT:
                yield from self._abstention(meter, p_sufficient=p_sufficient)
                return
        messages = prompt.open_book(request.question, packed.kept, strict=strict)
        sampling = request.sampling
        sampling = replace(sampling, stop=(*sampling.stop, prompt.NEXT_PASSAGE))
        with closing(
            self._begin_open_book(request, messages, domain, weight, sampling, should_stop)
        ) as session:
            deltas = meter.stream("generate", session.deltas())
            if strict:
                yield from self._strict(request, session, deltas, packed.kept, p_sufficient, meter)
            else:
                yield from self._cited(request, session, deltas, packed.kept, meter)

    def _gather(
        self,
        request: AnswerRequest,
        view: View,
        vector: QueryVectors | None,
        domain: str | None,
        meter: Meter,
        should_stop: ShouldStop,
    ) -> SearchResult:
        """Search as often as asked, each time with the answer to what was found before."""
        sampling = replace(
            request.sampling,
            max_tokens=min(request.sampling.max_tokens, DRAFT_TOKENS),
            stop=(*request.sampling.stop, prompt.NEXT_PASSAGE),
            constraint=None,  # of the answer, not of what is searched for
            logprobs=None,
        )

        def search(query: str) -> SearchResult:
            should_stop()
            with meter.stage("search"):
                result = view.searcher.search(
                    query,
                    k=request.k,
                    filter=request.filter or None,
                    domain=request.domain,
                    query_vector=vector if query == request.question else None,
                )
            meter.add(retrieval_calls=1, vectors_scanned=result.vectors_scanned)
            return result

        def draft(passages: Sequence[Passage]) -> str:
            messages = prompt.open_book(request.question, self._packed(request, passages).kept)
            with closing(self._generator.begin(messages, sampling, should_stop, domain)) as session:
                text = "".join(meter.stream("generate", session.stream()))
                meter.count(session)
            return text

        return gather(request.question, request.k, request.steps, search, draft)

    def _packed(self, request: AnswerRequest, passages: Sequence[Passage]) -> prompt.Packed:
        return prompt.pack(
            request.question,
            passages,
            self._generator.count_tokens,
            self._generator.context_tokens - request.sampling.max_tokens,
        )

    def _without_passages(
        self,
        request: AnswerRequest,
        domain: str | None,
        strict: bool,
        meter: Meter,
        should_stop: ShouldStop,
    ) -> Iterator[AnswerEvent]:
        """Nothing was found (a filter that nothing passes): abstain, or answer closed book."""
        if strict:
            yield from self._abstention(meter, support=0.0)
            return
        with closing(self._begin_closed_book(request, domain, should_stop)) as session:
            yield from self._closed_book(ClosedBook(session), meter)

    def _cited(
        self,
        request: AnswerRequest,
        session: Session,
        deltas: Iterator[DeltaEvent],
        passages: Sequence[Passage],
        meter: Meter,
    ) -> Iterator[AnswerEvent]:
        text = []
        for delta in deltas:
            text.append(delta.text)
            yield delta
        meter.count(session)
        grounding = self._ground(request, "".join(text), passages, meter)
        yield from map(CitationEvent, grounding.citations)
        yield UsageEvent(meter.usage())
        yield DoneEvent(session.finish_reason, grounding.support, self._generator.name)

    def _strict(
        self,
        request: AnswerRequest,
        session: Session,
        deltas: Iterator[DeltaEvent],
        passages: Sequence[Passage],
        p_sufficient: float | None,
        meter: Meter,
    ) -> Iterator[AnswerEvent]:
        """Hold the answer back until it is known to be supported."""
        whole = joined(list(deltas))
        meter.count(session)
        grounding = self._ground(request, whole.text, passages, meter)
        if grounding.support < SUPPORTED:
            yield from self._abstention(meter, support=grounding.support, p_sufficient=p_sufficient)
            return
        yield whole
        yield from map(CitationEvent, grounding.citations)
        yield UsageEvent(meter.usage())
        yield DoneEvent(
            session.finish_reason, grounding.support, self._generator.name, p_sufficient
        )

    def _abstention(
        self, meter: Meter, *, support: float | None = None, p_sufficient: float | None = None
    ) -> Iterator[AnswerEvent]:
        yield DeltaEvent(prompt.ABSTENTION)
        yield UsageEvent(meter.usage())
        yield DoneEvent(FinishReason.ABSTAINED, support, self._generator.name, p_sufficient)

    def _ground(
        self, request: AnswerRequest, text: str, passages: Sequence[Passage], meter: Meter
    ) -> Grounding:
        with meter.stage("ground"):
            return ground(text, passages, request.question)
