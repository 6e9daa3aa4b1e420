"""Features of a closed-book draft for the gate: words, log probabilities, hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expertrag_retriever.gate.signals import Draft

if TYPE_CHECKING:
    from expertrag.llm.scoring import ScoredText
    from expertrag_index.types import FloatArray

LIKELIHOODS = (
    "draft_log_probability",
    "draft_least_log_probability",
    "draft_first_log_probability",
)
STATES = ("draft_middle", "draft_upper")

DRAFT_WORDS = 24
"""About the 32 tokens of a recorded answer; short answers, which can be scored, fit in full."""


def truncate_draft(draft: str) -> str:
    """Return the part of a draft that the gate reads, independent of the caller's max_tokens."""
    return " ".join(draft.split()[:DRAFT_WORDS])


def draft_features(text: str, embedding: FloatArray, reading: ScoredText) -> Draft:
    """Return the features of one draft."""
    return Draft(
        text,
        embedding,
        dict(zip(LIKELIHOODS, likelihoods(reading), strict=True)),
        dict(zip(STATES, (reading.middle, reading.upper), strict=True)),
    )


def likelihoods(reading: ScoredText) -> tuple[float, ...]:
    """Return the ``LIKELIHOODS`` of a draft: mean, least and first log probability."""
    likely = reading.log_probabilities
    return float(likely.mean()), float(likely.min()), float(likely[0])
