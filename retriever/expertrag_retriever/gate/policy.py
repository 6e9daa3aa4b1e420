"""Estimates the gate's probabilities from signals."""

from __future__ import annotations

import math
from dataclasses import dataclass

from expertrag_retriever.gate.constants import GateConstants
from expertrag_retriever.gate.coverage import TermCoverage, nearness
from expertrag_retriever.gate.odds import log_odds
from expertrag_retriever.types import PrefillSignals, StoreSignals


@dataclass(frozen=True, slots=True)
class BenefitEstimate:
    """Probabilities of one query; ``p_benefit = p_documents * (1 - p_correct_closed_book)``."""

    p_documents: float
    p_correct_closed_book: float

    @property
    def p_benefit(self) -> float:
        """Probability that the documents hold the answer and the model alone would be wrong."""
        return self.p_documents * (1.0 - self.p_correct_closed_book)


def estimate(
    prefill: PrefillSignals | None,
    store: StoreSignals | None,
    coverage: TermCoverage,
    constants: GateConstants,
) -> BenefitEstimate:
    """Estimate both probabilities; a missing signal is replaced by its prior."""
    return BenefitEstimate(_p_documents(store, coverage, constants), _p_correct(prefill, constants))


def _p_documents(
    store: StoreSignals | None, coverage: TermCoverage, constants: GateConstants
) -> float:
    if store is None:
        return _logistic(constants.prior_logit)
    limit = constants.max_term_evidence
    words = min(max(coverage.terms.evidence(store.term_coverage), -limit), limit)
    near = nearness(store.similarity, store.background_similarity)
    meaning = coverage.nearness.evidence(near)
    evidence = constants.evidence_weight * (meaning + words)
    return _logistic(constants.prior_logit + evidence + _passages(store.p_sufficient, constants))


def _passages(p_sufficient: float | None, constants: GateConstants) -> float:
    """Evidence from passages that a model has read, in nats."""
    if p_sufficient is None:
        return 0.0
    limit = constants.max_passage_log_odds
    odds = min(max(float(log_odds(p_sufficient)), -limit), limit)
    return constants.passage_weight * (odds - constants.neutral_passage_log_odds)


def _p_correct(prefill: PrefillSignals | None, constants: GateConstants) -> float:
    if prefill is None:
        return constants.prior_closed_book
    return _logistic(
        constants.closed_book_bias
        + constants.closed_book_margin * prefill.margin
        + constants.closed_book_entropy * prefill.entropy
    )


def _logistic(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(min(logit, 50.0), -50.0)))
