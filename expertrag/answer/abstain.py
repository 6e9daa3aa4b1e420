"""When an answer is withheld: one policy, its checks in the order in which they are made.

1. judged       STRICT: a fitted gate finds it improbable that the passages hold the answer, before
                the model is asked
2. told         any mode: a reader says so, by the probability of its first token or by a probe
                (``prompt.ABSTAINS_FROM``; the engine decides it before it draws)
3. refused      any mode: the model refuses in its own words, and its doubt bears it out
4. doubted      STRICT: the model's doubt is too large for an answer that may cost more than none
5. unsupported  STRICT: the passages do not say what the answer says
"""

from __future__ import annotations

from dataclasses import dataclass

from expertrag.answer.ground import SUPPORTED
from expertrag_retriever.gate.sufficiency import SUFFICIENT

VERDICT_STRICT_FROM = 0.25
"""Doubt from which STRICT withholds a yes or no. It is concluded, seldom quoted, so that it is
doubted more: by the bound of other answers .63 of the right ones would be given, instead of .92,
and as many of them would be wrong (``make strict-threshold``)."""

REFUSED_BELOW = 0.5
"""Probability that the passages hold the answer, below which a refusal is believed."""


def believes_refusal(p_sufficient: float | None) -> bool:
    """Whether a refusal in the model's own words is believed; where nobody knows, it is."""
    return p_sufficient is None or p_sufficient < REFUSED_BELOW


@dataclass(frozen=True, slots=True)
class AbstentionPolicy:
    """The bounds of one language model.

    ``strict_from``: doubt from which STRICT withholds its answers.
    """

    strict_from: float

    @property
    def verdict_from(self) -> float:
        """Doubt from which STRICT withholds a yes or no, at least that of other answers."""
        return max(self.strict_from, VERDICT_STRICT_FROM)

    def judged(self, p_sufficient: float | None) -> bool:
        """Whether a gate's judgement of the passages is enough to abstain."""
        return p_sufficient is not None and p_sufficient < SUFFICIENT

    def doubted(self, p_sufficient: float | None, *, verdict: bool) -> bool:
        """Whether STRICT withholds an answer that the model doubts."""
        most = self.verdict_from if verdict else self.strict_from
        return p_sufficient is not None and p_sufficient < 1 - most

    def unsupported(self, support: float) -> bool:
        """Whether STRICT withholds an answer that the passages support to this share."""
        return support < SUPPORTED
