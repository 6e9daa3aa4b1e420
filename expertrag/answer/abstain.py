"""When to withhold an answer: the checks of one policy, in order.

1. judged       STRICT: a fitted gate finds it improbable that the passages hold the answer, before
                the language model runs
2. abstained    any mode: a reader's first token or a probe says so
                (``prompt.ABSTAINS_FROM``; the engine decides before it samples)
3. refused      any mode: the model refuses in its own words, and its doubt confirms it
4. doubted      STRICT: the model's doubt is too high, since a wrong answer may cost more than none
5. unsupported  STRICT: the passages do not support the answer

With fitted weights, one probability that the answer is right takes the place of 4 and 5. Questions
that only the documents can answer have their own bound in AUTO.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag.grounding.ground import SUPPORTED
from expertrag_retriever.gate.sufficiency import SUFFICIENT

if TYPE_CHECKING:
    from expertrag.answer.ground import Judgement
    from expertrag.llm.confidence import Confidence

VERDICT_STRICT_FROM = 0.25
"""Doubt at which STRICT withholds a yes or no. These are inferred and seldom quoted, so their doubt
is higher. With the bound of other answers, STRICT would give .49 of the right ones instead of .79.
Its answers would be wrong as often (``make lab-strict-threshold``)."""

REFUSED_BELOW = 0.5
"""A refusal is believed if the probability that the passages hold the answer is below this."""


def believes_refusal(p_sufficient: float | None) -> bool:
    """Return whether to believe a refusal in the model's own words; if unknown, believe it."""
    return p_sufficient is None or p_sufficient < REFUSED_BELOW


@dataclass(frozen=True, slots=True)
class AbstentionPolicy:
    """The bounds of one language model.

    ``strict_from``: doubt at which STRICT withholds its answers. ``confidence``: fitted weights.
    """

    strict_from: float
    confidence: Confidence | None = None

    @property
    def verdict_from(self) -> float:
        """Doubt at which STRICT withholds a yes or no; at least the bound of other answers."""
        return max(self.strict_from, VERDICT_STRICT_FROM)

    def rejects(self, p_sufficient: float | None) -> bool:
        """Return whether the gate's judgement of the passages requires an abstention."""
        return p_sufficient is not None and p_sufficient < SUFFICIENT

    def withholds_doubtful(
        self, p_sufficient: float | None, *, verdict: bool, fitted: bool
    ) -> bool:
        """Return whether STRICT withholds an answer with this probability.

        :param fitted: whether fitted weights judge the answer instead.
        """
        if fitted:
            return False
        most = self.verdict_from if verdict else self.strict_from
        return p_sufficient is not None and p_sufficient < 1 - most

    def withholds_unsupported(
        self, judgement: Judgement, support: float, *, internal: bool
    ) -> bool:
        """Return whether STRICT withholds an answer.

        :param support: share of the answer that the passages support.
        :param internal: whether it is withheld only because the documents alone can answer.
        """
        if not (self.confidence and judgement.fitted):
            return support < SUPPORTED
        least = self.confidence.internal_from if internal else self.confidence.strict_from
        return judgement.support < least
