"""The context of one question, shared by all steps of its answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from expertrag.answer.in_context import QuestionInContext
from expertrag.answer.route import Route
from expertrag.api.types import AnswerRequest, DeltaEvent, GateMode
from expertrag.llm.base import Message, Session, ShouldStop
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag.runtime.meter import Meter
from expertrag.stores.served_index import View

if TYPE_CHECKING:
    from expertrag_retriever.partitions import QueryVectors
    from expertrag_retriever.types import SearchResult


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """The context of a running answer.

    ``request`` has the question as it stands alone, and a mode; ``asked`` has the message and its
    conversation. ``view`` is the generation of the store that answers, whatever is published
    meanwhile; ``vectors`` are the question's, by expert, None in a mode without documents.
    ``closed_book`` is the prompt of the message and its conversation. ``policy`` is how the
    answer's sequences are computed, for :meth:`Generator.begin`. ``searches`` keeps what was found
    by query and number of passages: the answer does not repeat a search of the gate. ``internal``:
    the answer is withheld unless it is probably right, because the model alone cannot know it.
    """

    request: AnswerRequest
    asked: QuestionInContext
    view: View
    route: Route
    vectors: QueryVectors | None
    closed_book: Sequence[Message]
    meter: Meter
    should_stop: ShouldStop
    policy: SequencePolicy
    searches: dict[tuple[str, int], SearchResult] = field(default_factory=dict)
    internal: bool = False

    @property
    def mode(self) -> GateMode:
        """The mode of the request, or the default if it names none."""
        assert self.request.mode is not None, "the pipeline sets it"
        return self.request.mode

    @property
    def question_vectors(self) -> QueryVectors:
        """The question's vectors, in a mode that uses documents."""
        assert self.vectors is not None, "without documents, nothing is embedded"
        return self.vectors


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
