"""The numbers of the training-free gate, each with where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GateConstants:
    """Constants of the decision; ``docs/gate.md`` has the formula and what was measured.

    No classifier was trained: the store's own distributions, measured when it is built, carry
    the corpus and the embedder. One number, ``evidence_weight``, was chosen on a train split.
    """

    name: str = "training-free-3"

    threshold: float = 0.4
    """A question about the documents that is answered without them costs more than a wasted search:
    of train questions of ten sets in one store, .5 retrieves for .926 (misspelled .900) and for .05
    of everyday requests, .4 for .960 (.950) and for .08 (p(correct) = .15)."""

    prior_logit: float = math.log(2.0)
    """Before any evidence, two of three questions put to a store are about its documents."""

    evidence_weight: float = 0.5
    """Meaning and words are no independent witnesses. 0.7 and 1 retrieve less for other requests,
    and less for misspelled questions (train questions of six sets; docs/gate.md)."""

    max_term_evidence: float = 1.0
    """Limit, in nats, of what words alone can say: they are ambiguous ("plus", "capital"), and a
    misspelled one is in no store."""

    passage_weight: float = 0.35
    max_passage_log_odds: float = 4.0
    neutral_passage_log_odds: float = -1.5
    """Log odds that the best passages hold the answer count by this weight from the neutral point
    on: between the two bounds below, the median of requests that need no documents is -1.1, that of
    questions about them 2."""

    unsure: tuple[float, float] = (0.2, 0.6)
    """p(documents) between which a language model is to read the best passages: .23 of 250
    questions about the documents, and .40 of 50 everyday requests. That tells them apart with AUC
    .984 instead of .966, and the gates' thresholds retrieve for .956 and .10 of them instead of
    .907 and .09 (train questions of seven sets, the office's that eval-mixed does not ask)."""

    closed_book_bias: float = -3.0
    closed_book_margin: float = 2.5
    closed_book_entropy: float = -0.5
    """p(correct closed book) = logistic(bias + margin term + entropy term). Margin and entropy of
    the first tokens are TARG's training-free signals, the margin its default. The bias keeps even
    the surest model below 0.38: a model that restates the question looks sure whether it knows the
    answer or not. SmolLM2-135M is right on 7 % of 219 open-domain questions and its margin hardly
    tells which (AUC 0.55), so that it may only decide doubtful cases."""

    prior_closed_book: float = 0.15
    """p(correct closed book) where token probabilities are not to be had."""


CONSTANTS = GateConstants()
