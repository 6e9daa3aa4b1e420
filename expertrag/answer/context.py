"""The context of one question, shared by all steps of its answer."""

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
    """The context of a running answer.

    ``view`` is the generation of the store that answers, whatever is published meanwhile;
    ``vectors`` are the question's, by expert, None in a mode without documents. ``cache_salt`` is
    that of the caller, for :meth:`Generator.begin`.
    """

    request: AnswerRequest
    view: View
    route: Route
    vectors: QueryVectors | None
    meter: Meter
    should_stop: ShouldStop
    cache_salt: str = ""

    @property
    def known_vectors(self) -> QueryVectors:
        """The question's vectors, in a mode that uses documents."""
        assert self.vectors is not None, "NEVER uses no documents"
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
