"""The numbers of the training-free gate, each with where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GateConstants:
    """Constants of the decision; ``docs/gate.md`` has the formula and what was measured.

    Nothing here was fitted to a data set: the store's own distributions, measured when it is
    built, carry the corpus and the embedder.
    """

    name: str = "training-free-1"

    threshold: float = 0.5
    """Even costs: retrieve when it helps more likely than not."""

    prior_logit: float = math.log(2.0)
    """Before any evidence, two of three questions put to a store are about its documents."""

    max_term_evidence: float = 4.0
    """Limit, in nats, of what words alone can say: they are ambiguous ("plus", "capital")."""

    closed_book_bias: float = -3.0
    closed_book_margin: float = 3.0
    closed_book_entropy: float = -0.5
    """p(correct closed book) = logistic(bias + margin term + entropy term). Margin and entropy of
    the first tokens are TARG's training-free signals (margin is its default, entropy beside it);
    the bias keeps even a sure model below one half, because a model that restates the question
    looks sure whether it knows the answer or not: SmolLM2-135M is wrong with margin 0.94."""

    prior_closed_book: float = 0.15
    """p(correct closed book) without token probabilities. SmolLM2-135M is right on about one of
    ten open-domain questions, an 8B model on 3 to 6 of ten (docs/gate.md)."""


CONSTANTS = GateConstants()
