"""The constants of the training-free gate, each with its source."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GateConstants:
    """Constants of the decision; ``docs/reference/gate.md`` has the formula and the measurements.

    No classifier was trained: the store's own distributions, measured when it is built, capture
    the corpus and the embedder. One number, ``evidence_weight``, was chosen on a train split.
    """

    name: str = "training-free-3"

    threshold: float = 0.4
    """Answering a question about the documents without them costs more than a wasted search.

    On train questions of ten sets in one store, .5 retrieves for .926 (misspelled .900) and for .05
    of everyday requests. With .4 it is .960 (.950) and for .08 (p(correct) = .15).
    """

    prior_logit: float = math.log(2.0)
    """Prior: two of three questions put to a store are about its documents."""

    evidence_weight: float = 0.5
    """Meaning and words are not independent evidence. 0.7 and 1 retrieve less for other requests,
    and less for misspelled questions (train questions of six sets; docs/reference/gate.md)."""

    max_term_evidence: float = 1.0
    """Limit, in nats, of the evidence from words alone: they are ambiguous ("plus", "capital"), and
    a misspelled word occurs in no store."""

    passage_weight: float = 0.35
    max_passage_log_odds: float = 4.0
    neutral_passage_log_odds: float = -1.5
    """Weight of the log odds that the best passages hold the answer, relative to the neutral point.

    Between the two bounds below, the median of requests that need no documents is -1.1. The median
    of questions about them is 2.
    """

    unsure: tuple[float, float] = (0.2, 0.6)
    """Range of p(documents) in which a language model reads the best passages. It has .23 of 250
    questions about the documents, and .40 of 50 everyday requests. This separates the two with AUC
    .984 instead of .966. The gates' thresholds retrieve for .956 and .10 of them instead of .907
    and .09. Questions are train questions of seven sets, and the office's that eval-mixed does not
    ask.
    """

    closed_book_bias: float = -3.0
    closed_book_margin: float = 2.5
    closed_book_entropy: float = -0.5
    """p(correct closed book) = logistic(bias + margin term + entropy term). Margin and entropy of
    the first tokens are TARG's training-free signals, the margin its default. The bias keeps even
    the most confident model below 0.38: a model that restates the question looks confident whether
    it knows the answer or not. SmolLM2-135M is right on 7 % of 219 open-domain questions, and its
    margin hardly predicts which (AUC 0.55), so it may decide only doubtful cases."""

    prior_closed_book: float = 0.15
    """p(correct closed book) if token probabilities are not available."""


CONSTANTS = GateConstants()
