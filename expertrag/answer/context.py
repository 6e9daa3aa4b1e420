"""The context of one question, shared by all steps of its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from expertrag.answer.question_set import ONE_FACT, QuestionSet
from expertrag.answer.scope import recognise_scope
from expertrag.api.events import DeltaEvent
from expertrag.api.turns import Turn
from expertrag.api.types import AnswerRequest, GateMode, QuestionScope
from expertrag.llm.base import Message, Session, ShouldStop
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag.runtime.meter import Meter
from expertrag.stores.served_index import View

if TYPE_CHECKING:
    from expertrag.answer.scope import ScopeProbabilities
    from expertrag_index.types import FloatArray
    from expertrag_retriever.partitions import QueryVectors
    from expertrag_retriever.types import SearchResult


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a pipeline.

    ``view`` is the generation of the store that answers, whatever is published meanwhile. ``salt``
    separates the caller's sequences in the prefix cache from the sequences of others.
    """

    view: View
    meter: Meter
    should_stop: ShouldStop
    salt: str = ""


@dataclass(frozen=True, slots=True)
class QuestionInContext:
    """A message of a conversation, and the question that it asks.

    ``question`` stands alone. ``about_conversation``: the message asks nothing of the documents,
    such as "thanks". ``vectors`` are the question's, once they are known.
    """

    message: str
    question: str
    history: tuple[Turn, ...] = ()
    about_conversation: bool = False
    vectors: QueryVectors | None = None

    @property
    def rewritten(self) -> str:
        """The question, if it is not the message itself; else ""."""
        return self.question if self.question != self.message else ""

    @property
    def text_without_documents(self) -> str:
        """The text that the model answers on its own, after the history."""
        return self.message if self.history else self.question


@dataclass(frozen=True, slots=True)
class Route:
    """The route of a question.

    ``domains``: probability of each domain, with "general" for none; empty if the embedder has no
    experts. ``expert``: name of the language-model expert that answers from the documents; None if
    there is none. ``pattern``: domain of the expert pattern that answers; None for all experts.
    """

    domains: Mapping[str, float] = field(default_factory=dict)
    expert: str | None = None
    pattern: str | None = None

    @property
    def answers(self) -> str | None:
        """Name of the expert or pattern that answers; a model has one of both kinds, or none."""
        return self.expert or self.pattern


Searches = dict[tuple[str, int], "SearchResult"]
"""Results by query and number of passages."""


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """The context of a running answer.

    ``request`` has the question as it stands alone, and a mode. ``asked`` has the message and its
    conversation, and the question's vectors, by expert; none in a mode without documents.
    ``closed_book`` is the prompt of the message and its conversation. ``policy`` is how the
    answer's sequences are computed, for :meth:`Generator.begin`. ``searches`` keeps the results
    by query and number of passages: the answer does not repeat a search of the gate. ``internal``:
    the answer is withheld unless it is probably right, because the model alone cannot know it.
    ``asks_about`` is what the question asks, and the table or family of documents that answers it.
    ``states`` are the model's hidden states after the question, by name, and ``read_scopes`` what a
    probe reads in them; None if they were not read.
    """

    request: AnswerRequest
    asked: QuestionInContext
    route: Route
    closed_book: Sequence[Message]
    policy: SequencePolicy
    view: View
    meter: Meter
    should_stop: ShouldStop
    searches: Searches = field(default_factory=dict)
    internal: bool = False
    asks_about: QuestionSet = ONE_FACT
    states: Mapping[str, FloatArray] | None = None
    read_scopes: ScopeProbabilities | None = None

    @property
    def scope(self) -> QuestionScope:
        """What the question asks of the documents."""
        return self.asks_about.scope

    @property
    def recognised(self) -> ScopeProbabilities:
        """What the question may ask, by the model's hidden states and words, or by words alone."""
        return self.read_scopes or recognise_scope(self.request.question)

    @property
    def may_be_misread(self) -> bool:
        """Whether the recogniser took the question for one fact, and it may ask something else."""
        is_fact = self.scope in (QuestionScope.LOOKUP, QuestionScope.LATEST)
        return self.request.scope is None and self.is_plain and is_fact

    @property
    def is_plain(self) -> bool:
        """Whether the request asks for one search and any text as its answer."""
        return self.request.steps == 1 and self.request.sampling.constraint is None

    @property
    def mode(self) -> GateMode:
        """The mode of the request, or the default if it names none."""
        assert self.request.mode is not None, "the pipeline sets it"
        return self.request.mode

    @property
    def is_strict(self) -> bool:
        """Whether the caller or the policy asks for the mode STRICT."""
        return self.mode is GateMode.STRICT and not self.internal

    @property
    def question_vectors(self) -> QueryVectors:
        """The question's vectors, in a mode that uses documents."""
        assert self.asked.vectors is not None, "without documents, nothing is embedded"
        return self.asked.vectors


@dataclass(slots=True)
class ClosedBook:
    """A running closed-book answer; ``draft`` is its whole text if the gate required it."""

    session: Session
    draft: DeltaEvent | None = None

    def deltas(self) -> Iterator[DeltaEvent]:
        """Yield the answer's text; an existing draft in one piece."""
        if self.draft is None:
            yield from self.session.deltas()
        elif self.draft.text:
            yield self.draft
