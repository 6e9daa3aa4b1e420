"""Internal questions: those about the asker's own organisation, which no model can know.

"Who is our auditor?" is answered from the documents or not at all: the model alone would invent a
name. That holds even if the documents hardly seem to be about it. "Why do we dream?" is not an
internal question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from expertrag.answer.question_states import read_states
from expertrag.api.types import GateDecision
from expertrag.llm.probe import INTERNAL_FROM

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.answer.verdict import Verdict
    from expertrag.llm.base import Generator
    from expertrag.llm.probe import Probe

SIGNAL = "p_internal"
_REASON = (
    "The question is about your own organisation, so it is answered from the documents or not at "
    "all."
)


def p_internal(probe: Probe | None, generator: Generator, context: AnswerContext) -> float | None:
    """Return the probability that a question is internal; None without a probe of the model."""
    if probe is None:
        return None
    states = read_states(generator, context)
    return None if states is None else probe.probability(states)


def retrieve_if_internal(verdict: Verdict, probability: float | None) -> Verdict:
    """Retrieve for an internal question that the gate would leave to the model."""
    if probability is None:
        return verdict
    verdict = verdict.add_signal(SIGNAL, probability)
    if verdict.decision.retrieve or probability < INTERNAL_FROM:
        return verdict
    return verdict.retrieve(_REASON)


def is_internal(decision: GateDecision) -> bool:
    """Return whether a question is answered from the documents because it is internal."""
    return decision.retrieve and decision.signals.get(SIGNAL, 0.0) >= INTERNAL_FROM
