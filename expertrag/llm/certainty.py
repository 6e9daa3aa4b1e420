"""How sure a model was of its first tokens: the gate's signals from a prefill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from expertrag_retriever.types import PrefillSignals


@dataclass(frozen=True, slots=True)
class Certainty:
    """How sure the model was of one token, at temperature 1; entropy in nats."""

    margin: float
    entropy: float
    max_probability: float


def average(certainties: Sequence[Certainty]) -> PrefillSignals:
    """Average over tokens, of which there must be at least one."""
    count = len(certainties)
    return PrefillSignals(
        margin=sum(c.margin for c in certainties) / count,
        entropy=sum(c.entropy for c in certainties) / count,
        max_probability=sum(c.max_probability for c in certainties) / count,
        tokens=count,
    )
