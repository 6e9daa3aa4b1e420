"""A decision of the gate in progress; its reason is put together at the end."""

from __future__ import annotations

from dataclasses import dataclass, replace

from expertrag.api.types import GateAction, GateDecision


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision, and the sentences of its reason."""

    decision: GateDecision
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, decision: GateDecision) -> Verdict:
        """Begin with the decision of a gate."""
        return cls(decision, (decision.reason,))

    def explain(self, sentence: str) -> Verdict:
        """Add a sentence to the reason."""
        return replace(self, reasons=(*self.reasons, sentence))

    def add_signal(self, name: str, value: float) -> Verdict:
        """Add a signal that was measured for the decision."""
        signals = {**self.decision.signals, name: value}
        return replace(self, decision=replace(self.decision, signals=signals))

    def retrieve(self, sentence: str) -> Verdict:
        """Retrieve instead, for another reason."""
        return Verdict(replace(self.decision, action=GateAction.RETRIEVE), (sentence,))

    @property
    def result(self) -> GateDecision:
        """The decision, with its reason."""
        return replace(self.decision, reason=" ".join(self.reasons))
