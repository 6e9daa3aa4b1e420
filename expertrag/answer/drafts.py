"""What a gate reads of a closed-book draft: its words, how likely they were, hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expertrag_retriever.gate.signals import Draft

if TYPE_CHECKING:
    from expertrag.llm.reading import Reading
    from expertrag_index.types import FloatArray

LIKELIHOODS = (
    "draft_log_probability",
    "draft_least_log_probability",
    "draft_first_log_probability",
)
STATES = ("draft_middle", "draft_upper")

DRAFT_WORDS = 24
"""About the 32 tokens of a recorded answer; short answers, which can be scored, are whole."""


def looked_at(draft: str) -> str:
    """Return the part of a draft that a gate looks at, so that no caller's max_tokens counts."""
    return " ".join(draft.split()[:DRAFT_WORDS])


def drafted(text: str, embedding: FloatArray, reading: Reading) -> Draft:
    """Put together what is known of one draft."""
    return Draft(
        text,
        embedding,
        dict(zip(LIKELIHOODS, likelihoods(reading), strict=True)),
        dict(zip(STATES, (reading.middle, reading.upper), strict=True)),
    )


def likelihoods(reading: Reading) -> tuple[float, ...]:
    """Return the ``LIKELIHOODS`` of a draft: mean, least and first log probability."""
    likely = reading.log_probabilities
    return float(likely.mean()), float(likely.min()), float(likely[0])
