"""The record of one question: what it asks, and what every step of its answer takes from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag.answer.route import Route
from expertrag.answer.served_index import View
from expertrag.api.types import AnswerRequest, DeltaEvent
from expertrag.llm.base import Session, ShouldStop
from expertrag.runtime.meter import Meter

if TYPE_CHECKING:
    from expertrag_retriever.partitions import QueryVectors


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """A question under way.

    ``view`` is the generation of the store that answers, whatever is published meanwhile;
    ``vectors`` are the question's, by expert, None in a mode that looks at no document.
    """

    request: AnswerRequest
    view: View
    route: Route
    vectors: QueryVectors | None
    meter: Meter
    should_stop: ShouldStop

    @property
    def known_vectors(self) -> QueryVectors:
        """The vectors of a question in a mode that looks at documents."""
        assert self.vectors is not None, "NEVER looks at no document"
        return self.vectors


@dataclass(slots=True)
class ClosedBook:
    """A closed-book answer under way; ``draft`` is all of it where the gate asked for it."""

    session: Session
    draft: DeltaEvent | None = None

    def deltas(self) -> Iterator[DeltaEvent]:
        """Yield the answer's text; a draft that is there already, in one piece."""
        if self.draft is None:
            yield from self.session.deltas()
        elif self.draft.text:
            yield self.draft
