"""The gate's step of an answer: measure what the gate asks for, then decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag import prompt
from expertrag.errors import Conflict
from expertrag.gating.signals import drafted
from expertrag.generation.transformers_backend import TransformersGenerator
from expertrag.types import AnswerRequest, GateDecision, GateMode
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate import fitted
from expertrag_retriever.gate.signals import Draft, SignalGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from expertrag.generation.base import Generator, Session, ShouldStop
    from expertrag.meter import Meter
    from expertrag.served_gate import ServedGate
    from expertrag.served_index import View
    from expertrag_retriever.gate.bundle import GateBundle
    from expertrag_retriever.partitions import QueryVectors

LOOKAHEAD_TOKENS = 6
"""Tokens that the gate looks at. They are the answer's own first tokens when it is given closed
book; TARG finds the margin of the first few tokens as telling as that of a whole draft."""


@dataclass(slots=True)
class ClosedBook:
    """A closed-book answer under way; ``draft`` is its whole text where the gate asked for it."""

    session: Session
    draft: str | None = None

    def stream(self) -> Iterator[str]:
        """Yield the answer's text; a draft that is there already, in one piece."""
        if self.draft is None:
            yield from self.session.stream()
        elif self.draft:
            yield self.draft


class Decider:
    """Runs the training-free gate of the store, or the fitted one."""

    def __init__(
        self, generator: Generator, gate: ServedGate | None, threshold: float | None
    ) -> None:
        """Take what decides.

        :param threshold: smallest p(benefit) that retrieves; None for the gate's own.
        """
        self._generator = generator
        self._gate = gate
        self._threshold = threshold

    def name(self, view: View) -> str:
        """Name of the gate that decides over a store."""
        return self._gate.current().version if self._gate else view.gate.name

    def decide(
        self,
        request: AnswerRequest,
        view: View,
        vector: QueryVectors | None,
        answer: ClosedBook,
        meter: Meter,
        should_stop: ShouldStop,
    ) -> GateDecision:
        """Decide; only AUTO pays for the signals."""
        threshold = self._threshold if request.threshold is None else request.threshold
        if request.mode is not GateMode.AUTO or vector is None:
            return view.gate.decide(request.mode, prefill=None, store=None, threshold=threshold)
        bundle = self._gate.current() if self._gate else None
        with meter.stage("gate"):
            store = view.gate.store_signals(request.question, vector.by_expert)
        should_stop()
        with meter.stage("prefill"):
            prefill = answer.session.peek(LOOKAHEAD_TOKENS)
        if bundle is None:
            return view.gate.decide(request.mode, prefill=prefill, store=store, threshold=threshold)
        if bundle.needs.embedder_fingerprint != view.embedder.fingerprint_of_expert(GENERAL):
            return fitted.unjudged(
                f"the store has moved to the embedder {view.embedder.name} and the gate was "
                f"fitted with {bundle.needs.embedder}",
                bundle.version,
            )
        draft = None
        if SignalGroup.DRAFT in bundle.groups:
            draft = self._draft(request.question, view, answer, meter)
        with meter.stage("gate"):
            signals = view.gate.signals(
                request.question, vector.by_expert, prefill=prefill, store=store, draft=draft
            )
            return fitted.decide(bundle, signals, threshold=threshold)

    def _draft(self, question: str, view: View, answer: ClosedBook, meter: Meter) -> Draft:
        """Let the model answer closed book to the end, and read that."""
        reader = self._generator
        assert isinstance(reader, TransformersGenerator), "checked when the gate was loaded"
        with meter.stage("draft"):
            answer.draft = "".join(answer.session.stream())
            ((_, reading),) = reader.read([(prompt.closed_book(question), answer.draft)])
            embedding = view.embedder.encode_queries_by_experts([answer.draft or " "], [GENERAL])
        meter.add(lm_calls=1)  # the reading
        return drafted(answer.draft, embedding[0, 0], reading)


def check_drafts(bundle: GateBundle, generator: Generator) -> None:
    """Check that a gate's drafts can be read by the model at hand.

    :raises Conflict: the gate looks at drafts, and the model gives no probabilities of a text.
    """
    if SignalGroup.DRAFT in bundle.groups and not isinstance(generator, TransformersGenerator):
        raise Conflict(
            f"the gate {bundle.version} reads drafts, which {generator.name} cannot do: use a "
            "model that runs in this process, or a gate without the signals of 'draft'",
            reason="GATE_MISMATCH",
            metadata={"gate": bundle.version},
        )
