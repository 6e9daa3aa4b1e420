"""The first step of an answer: read the question in its conversation, embed it, and route it.

The gate, the search and the grounding see the question as it stands alone. A closed-book answer in
a conversation sees the turns and the message as they were sent. Reading a question runs a search
only if it may be about a set, to find the table or the documents of that set. For others, the gate
decides whether one is worth its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from expertrag.answer.canonical import canonical
from expertrag.answer.context import AnswerContext, Call, QuestionInContext, Route
from expertrag.answer.follow_up import StoreEvidence, Write, read_follow_up, writer
from expertrag.answer.question_set import find_set
from expertrag.answer.question_states import read_states
from expertrag.answer.scope import recognise_scope
from expertrag.answer.search import find_documents
from expertrag.api.turns import Turn
from expertrag.api.types import AnswerRequest, GateMode, RetrieveRequest
from expertrag.conversation.about import is_courtesy
from expertrag.llm.base import BASE, SHARED
from expertrag.llm.history import in_conversation
from expertrag_retriever.gate.domains import domain_probabilities

if TYPE_CHECKING:
    from expertrag.answer.reading_policy import ReadingPolicy
    from expertrag.llm.base import Generator
    from expertrag.runtime.meter import Meter
    from expertrag_retriever.base import Embedder


class QuestionReader:
    """Reads the questions of answers, decisions and searches, all in the same way."""

    def __init__(self, generator: Generator, reading: ReadingPolicy) -> None:
        self._generator, self._reading = generator, reading
        self._wording = canonical if reading.canonical else str

    def read(
        self, request: AnswerRequest | RetrieveRequest, message: str, call: Call
    ) -> QuestionInContext:
        """Read the message of a request."""
        write = None
        if request.history:
            write = writer(self._generator, call.meter, call.should_stop, call.salt)
        store = StoreEvidence(call.view, request.filter or None, call.should_stop)
        return read_question(message, request.history, store, wording=self._wording, write=write)

    def open_context(self, request: AnswerRequest, call: Call) -> AnswerContext:
        """Read the question of a request, route it, and embed it if it needs documents.

        :param request: has a mode.
        """
        call.should_stop()
        generator = self._generator
        asked = self._read_and_embed(request, call)
        request = replace(request, question=asked.question)
        embedder = call.view.embedder
        routed = route(embedder, request, generator.experts, call.meter, generator.patterns)
        closed_book, dropped = in_conversation(
            asked.text_without_documents,
            asked.history,
            generator.count_tokens,
            generator.context_tokens - request.sampling.max_tokens,
            request.instructions,
        )
        call.meter.add(turns_dropped=dropped)
        policy = generator.make_policy(request.sampling, routed.answers, call.salt)
        context = AnswerContext(
            request,
            asked,
            routed,
            closed_book,
            policy,
            call.view,
            call.meter,
            call.should_stop,
        )
        if request.mode is GateMode.NEVER or asked.about_conversation:
            return context
        context = self._recognise(context)
        about = find_set(
            request, context.recognised, call.view.index, partial(find_documents, context)
        )
        return replace(context, asks_about=about)

    def _recognise(self, context: AnswerContext) -> AnswerContext:
        """Read what a question asks in the model's hidden states, if they tell it."""
        probe = self._reading.scope
        if probe is None or context.request.scope:
            return context
        states = read_states(self._generator, context)
        if states is None:
            return context
        recognised = probe.recognise(states, recognise_scope(context.request.question))
        return replace(context, states=states, read_scopes=recognised)

    def _read_and_embed(self, request: AnswerRequest, call: Call) -> QuestionInContext:
        """Read and embed the question; closed book, a follow-up is left to the model."""
        closed_book = request.mode is GateMode.NEVER
        if closed_book and request.history:
            return QuestionInContext(request.question, request.question, request.history)
        with call.meter.stage("rewrite") if request.history else nullcontext():
            asked = self.read(request, request.question, call)
        if request.mode is not GateMode.AUTO:  # the caller decides whether documents are consulted
            asked = replace(asked, about_conversation=False)
        if closed_book or asked.about_conversation or asked.vectors is not None:
            return asked
        call.should_stop()
        with call.meter.stage("embed"):
            vectors = call.view.searcher.encode(asked.question, request.filter or None)
        return replace(asked, vectors=vectors)


def read_question(
    message: str,
    history: Sequence[Turn],
    store: StoreEvidence,
    *,
    wording: Callable[[str], str] = str,
    write: Write | None = None,
) -> QuestionInContext:
    """Read a message in its conversation.

    :param store: the documents that may be evidence of what the message asks.
    :param wording: writes the message in another form before it is read, such as
        :func:`~expertrag.answer.canonical.canonical`.
    :param write: the language model, for what rules leave open; None leaves it to the rules.
    """
    text = wording(message)
    if not history:
        return QuestionInContext(message, text, about_conversation=is_courtesy(text))
    return read_follow_up(message, text, tuple(history), store, write)


def route(
    embedder: Embedder,
    request: AnswerRequest,
    experts: Collection[str],
    meter: Meter,
    patterns: Collection[str] = (),
) -> Route:
    """Route a question to experts: compute the posterior of the embedder's router, once.

    It is a signal for the gate, selects the language-model expert, and is recorded in the decision
    and in the audit log. Search does not use it: every partition is searched. Closed book is not
    routed, unless language-model experts or patterns also answer closed book.

    :param experts: names of the language-model experts.
    :param patterns: domains that have an expert pattern.
    """
    domains: Mapping[str, float] = {}
    closed_book = patterns or (experts and BASE not in experts)
    looks = request.mode is not GateMode.NEVER or closed_book
    if embedder.experts and looks:
        with meter.stage("route"):
            (domains,) = domain_probabilities(embedder, [request.question])
    likeliest = max(domains, key=domains.__getitem__) if domains else ""
    wanted = request.domain or likeliest
    expert = wanted if wanted in experts else SHARED
    pattern = wanted if wanted in patterns else None
    return Route(domains, expert if experts else None, pattern)
