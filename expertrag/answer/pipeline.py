"""The steps of an answer, in order: read, gate, search, generate, ground; each has a file.

    read.py      the question as it stands alone, embedded and routed once
    gate.py      the closed-book prefill and other signals; a decision with its reason. A
                 closed-book answer goes on from the prefill
    search.py    passages, only if the gate decides so
    generate.py  tokens
    ground.py    citations and support, or an abstention

The pipeline raises only errors of ``expertrag.api.errors``. It is thread-safe; the store can be
replaced while answers are being generated.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from expertrag._version import __version__
from expertrag.answer.context import AnswerContext, Call, ClosedBook
from expertrag.answer.gate import Decider
from expertrag.answer.gate_signals import base_encoder
from expertrag.answer.generate import Answering
from expertrag.answer.internal import is_internal
from expertrag.answer.pipeline_models import PipelineModels
from expertrag.answer.read import QuestionReader
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.rerank import rank_texts
from expertrag.answer.search import retrieve_passages
from expertrag.api import validation
from expertrag.api.access import Access
from expertrag.api.embed import Embeddings
from expertrag.api.events import AnswerEvent, DoneEvent, GateEvent, TableEvent
from expertrag.api.info import IndexStats, ServerInfo
from expertrag.api.rerank import RerankRequest, RerankResult
from expertrag.api.turns import Turn
from expertrag.api.types import (
    AnswerRequest,
    Feedback,
    GateDecision,
    GateMode,
    Passage,
    RetrieveRequest,
    RetrieveResult,
    Sampling,
)
from expertrag.audit import NOBODY, Asker, Audit, Entry
from expertrag.audit.served import ServedLog
from expertrag.config import GateConfig
from expertrag.grounding.evidence import evidence_signals
from expertrag.llm.base import EndpointStatus, ShouldStop, never_stop
from expertrag.runtime.error_mapping import translate_errors
from expertrag.runtime.meter import Meter, stage_span
from expertrag.stores.access import StoreAccess
from expertrag.stores.served_index import ServedIndex, View

if TYPE_CHECKING:
    from expertrag.llm.adapters.loaded import LoadedAdapters

SAMPLING = Sampling()

_EMBED_CHARACTERS = 8_192
"""Characters that are embedded between two checks of the deadline: about .2 s of one core. So
concurrent calls stop within a second of their deadlines."""


class Pipeline(StoreAccess):
    """Answers questions with an embedder, a store, a gate and a language model."""

    def __init__(
        self,
        store: Path,
        models: PipelineModels,
        *,
        policy: GateConfig | None = None,
        audit: Audit | None = None,
    ) -> None:
        """Open the store.

        :param policy: default mode, and threshold or target rate of the gate; None for AUTO and
            the gate's own threshold.
        :param audit: log of the decisions; None keeps none. It is closed with the pipeline.
        :raises ExpertRAGError: if the store cannot be served; the message has the fix.
        """
        generator = models.generator
        self._reranker, self._generator = models.reranker, generator
        self._reading = models.reading or ReadingPolicy.of(generator)
        self._reader = QuestionReader(generator, self._reading)
        self._decider = Decider(generator, self._reading, models.gate, policy or GateConfig())
        self._answering = Answering(generator, self._reading, self._decider, models.reranker)
        self.audit = audit or Audit()
        self._asked_by = NOBODY
        self._mode = GateMode((policy and policy.mode) or GateMode.AUTO)
        with translate_errors():
            super().__init__(ServedIndex(store, models.embedder, models.load_embedder))

    def close(self) -> None:
        """Close the store; running answers finish first."""
        super().close()
        self.audit.close()

    def serving(self, access: Access, asked_by: Asker, mode: GateMode | None = None) -> Pipeline:
        """Return the same pipeline for one caller: it shows what ``access`` allows.

        Writes are not restricted: a caller that may write sees every document.

        :param asked_by: whose answers these are, for the audit log and for feedback.
        :param mode: mode of requests that name none; None for the mode of the policy.
        """
        bound = copy.copy(self)
        bound._access, bound._asked_by = access, asked_by
        bound._mode = mode or self._mode
        return bound

    def answer(
        self, request: AnswerRequest, should_stop: ShouldStop = never_stop
    ) -> Iterator[AnswerEvent]:
        """Answer a question as events: gate, passages, delta*, citation*, usage, done.

        Work happens while the iterator is advanced; closing it frees all resources at once.
        """
        validation.check_answer(request)
        self._generator.check(request.sampling, should_stop)
        return self._answer(request, should_stop)

    def retrieve(
        self, request: RetrieveRequest, should_stop: ShouldStop = never_stop
    ) -> RetrieveResult:
        """Search, without generating an answer."""
        validation.check_retrieve(request)
        started = time.perf_counter()
        with translate_errors(), self._lease() as view:
            should_stop()
            call = self._call(view, Meter(), should_stop)
            asked = self._reader.read(request, request.query, call)
            reranked = retrieve_passages(
                view.index,
                view.searcher,
                replace(request, query=asked.question),
                self._reranker,
                should_stop,
                query_vector=asked.vectors,
            )
        return RetrieveResult(
            passages=reranked.result.passages,
            generation=reranked.result.generation,
            vectors_scanned=reranked.result.vectors_scanned,
            seconds=time.perf_counter() - started,
            rewritten_query=asked.rewritten,
            reranked=reranked.candidates,
            rerank_skipped=reranked.skipped,
        )

    def rerank(self, request: RerankRequest, should_stop: ShouldStop = never_stop) -> RerankResult:
        """Rank texts for a query by the reranker's scores."""
        with translate_errors(), stage_span("rerank"):
            return rank_texts(request, self._reranker, should_stop)

    def decide(
        self,
        question: str,
        mode: GateMode | None = None,
        *,
        threshold: float | None = None,
        domain: str | None = None,
        history: Sequence[Turn] = (),
        should_stop: ShouldStop = never_stop,
        meter: Meter | None = None,
        sampling: Sampling = SAMPLING,
    ) -> GateDecision:
        """Run only the gate.

        :param meter: counts the cost of the decision; None if the caller does not need it.
        :param sampling: sampling of the draft, for a gate that reads one.
        """
        request = AnswerRequest(
            question=question,
            mode=mode,
            threshold=threshold,
            domain=domain,
            sampling=sampling,
            history=tuple(history),
        )
        validation.check_answer(request)
        self._generator.check(sampling, should_stop)
        meter = meter or Meter()
        with (
            translate_errors(),
            self._generator.using(sampling),
            self._lease() as view,
            self._entry(question, view) as entry,
        ):
            context = self._open_context(request, view, meter, should_stop)
            with closing(self._answering.sessions.open_closed_book(context)) as session:
                decision = self._decide(context, ClosedBook(session))
                meter.count(session)
                return entry.record_decision(decision)

    def evidence(self, question: str, passages: Sequence[Passage]) -> dict[str, float]:
        """Measure how well passages cover a question, as features for a fitted gate."""
        with translate_errors(), self._lease() as view:
            return evidence_signals(question, passages, base_encoder(view.embedder))

    def feedback(self, feedback: Feedback) -> None:
        """Store a user's feedback on an answer, next to the audit log.

        :raises Conflict: if no audit log is kept.
        :raises NotFound: if the answer was given to another caller.
        """
        self.audit.feedback(feedback, self._asked_by.caller)

    @property
    def log(self) -> ServedLog:
        """The decisions of this collection in the audit log."""
        return ServedLog(self.audit, self._asked_by.collection)

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Literal["document", "query"] = "document",
        domain: str | None = None,
        should_stop: ShouldStop = never_stop,
    ) -> Embeddings:
        """Encode texts; return L2-normalised vectors in their order, and the tokens read."""
        validation.check_texts(texts)
        should_stop()
        with translate_errors(), self._lease() as view:
            embedder = view.embedder
            encode = embedder.encode_queries if role == "query" else embedder.encode_documents
            vectors: list[list[float]] = []
            tokens = 0
            for some in _portions(texts):
                should_stop()
                with stage_span("embed"):
                    vectors += encode(some, domain).tolist()
                tokens += sum(embedder.tokens_read(some, role))
            return Embeddings(vectors, embedder.name, tokens)

    @property
    def adapters(self) -> LoadedAdapters:
        """The adapters of the language model; see :attr:`Generator.adapters`."""
        return self._generator.adapters

    def generation_counters(self) -> Mapping[str, int]:
        """Return the counters of the language model; see :meth:`Generator.counters`."""
        return self._generator.counters()

    def generation_endpoints(self) -> tuple[EndpointStatus, ...]:
        """Return the servers of the language model; see :meth:`Generator.endpoints`."""
        return self._generator.endpoints()

    @property
    def healthy(self) -> bool:
        """Whether the language model may answer; see :attr:`Generator.healthy`."""
        return self._generator.healthy

    def info(self) -> ServerInfo:
        """Describe versions, models, limits and store."""
        with self._lease() as view:
            gate, embedder = self._decider.name(view), view.embedder.name
        return ServerInfo(
            version=__version__,
            embedder=embedder,
            model=self._generator.name,
            gate=gate,
            context_tokens=self._generator.context_tokens,
            max_query_bytes=validation.MAX_QUERY_BYTES,
            max_k=validation.MAX_K,
            index=(stats := self.stats()),
            problems=self._problems(stats),
        )

    def _problems(self, stats: IndexStats) -> tuple[str, ...]:
        problems = {
            "index": stats.degraded,
            "audit": self.audit.problem,
            "model": self._generator.problem,
        }
        return tuple(f"{part}: {problem}" for part, problem in problems.items() if problem)

    def _answer(self, request: AnswerRequest, should_stop: ShouldStop) -> Iterator[AnswerEvent]:
        meter = Meter()
        with (
            translate_errors(),
            self._generator.using(request.sampling),
            self._lease() as view,
            self._entry(request.question, view, meter) as entry,
        ):
            context = self._open_context(request, view, meter, should_stop)
            with closing(self._answering.sessions.open_closed_book(context)) as session:
                answer = ClosedBook(session)
                decision = self._decide(context, answer)
                yield GateEvent(entry.record_decision(decision))
                if not decision.retrieve:
                    with closing(self._answering.answer_closed_book(answer, meter)) as events:
                        yield from _record(events, entry, request.sampling.adapter)
                    self._decider.record_cost(decision, meter.usage())
                    return
            meter.count(session)
            if self._decider.is_strict(decision):
                strict = replace(context.request, mode=GateMode.STRICT)
                context = replace(context, request=strict, internal=is_internal(decision))
            with closing(self._answering.answer_open_book(context)) as events:
                yield from _record(events, entry, request.sampling.adapter)
            self._decider.record_cost(decision, meter.usage())

    def _entry(self, question: str, view: View, meter: Meter | None = None) -> Entry:
        generation = view.index.generation
        return self.audit.answering(question, generation, meter, asked_by=self._asked_by)

    def _call(self, view: View, meter: Meter, should_stop: ShouldStop) -> Call:
        salt = self._access.cache_salt(self._asked_by.caller)
        return Call(view, meter, should_stop, salt)

    def _open_context(
        self, request: AnswerRequest, view: View, meter: Meter, should_stop: ShouldStop
    ) -> AnswerContext:
        request = replace(request, mode=request.mode or self._mode)
        return self._reader.open_context(request, self._call(view, meter, should_stop))

    def _decide(self, context: AnswerContext, answer: ClosedBook) -> GateDecision:
        return self._decider.decide(context, answer, lambda: self._answering.least_doubt(context))


def _record(
    events: Iterator[AnswerEvent], entry: Entry, adapter: str | None
) -> Iterator[AnswerEvent]:
    """Pass the events of an answer on; the audit log keeps how it ended.

    :param adapter: is named in the model that the answer comes from, as MODEL@ADAPTER.
    """
    for event in events:
        if isinstance(event, DoneEvent):
            if adapter:
                event = replace(event, model=f"{event.model}@{adapter}")
            entry.finish(event)
        elif isinstance(event, TableEvent):
            entry.record_table(event)
        yield event


def _portions(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split texts to embed, so that a call ends soon after its deadline."""
    start = characters = 0
    for end, text in enumerate(texts):
        if characters and characters + len(text) > _EMBED_CHARACTERS:
            yield texts[start:end]
            start, characters = end, 0
        characters += len(text)
    yield texts[start:]
