"""The numbers behind a decision, against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from expertrag_index.types import TermStatistics
from expertrag_retriever.gate.constants import CONSTANTS
from expertrag_retriever.gate.coverage import (
    SignalContrast,
    Spread,
    TermCoverage,
    dump_coverage,
    read_coverage,
)
from expertrag_retriever.gate.policy import estimate
from expertrag_retriever.gate.terms import term_coverage
from expertrag_retriever.types import PrefillSignals, StoreSignals

COVERAGE = TermCoverage(
    nearness=SignalContrast(Spread(0.5, 0.1), Spread(0.1, 0.1), min_deviation=0.05),
    terms=SignalContrast(Spread(0.8, 0.2), Spread(0.4, 0.2), min_deviation=0.1),
    quantiles=(0.2, 0.4, 0.8),
    background=np.eye(2, 4, dtype=np.float32),
)


@pytest.mark.parametrize(
    ("about", "unrelated", "value", "evidence"),
    [
        (Spread(0.5, 0.1), Spread(0.1, 0.1), 0.3, 0.0),
        (Spread(0.5, 0.1), Spread(0.1, 0.1), 0.5, 8.0),
        (Spread(0.5, 0.1), Spread(0.1, 0.1), 0.1, -8.0),
        (Spread(0.5, 0.2), Spread(0.1, 0.0), 0.5, 0.2 * 0.4 / 0.02),  # deviations are pooled
        (Spread(0.5, 0.0), Spread(0.1, 0.0), 0.5, 0.2 * 0.4 / 0.0025),  # and bounded below
        (Spread(0.3, 0.1), Spread(0.3, 0.1), 0.9, 0.0),  # a store that cannot separate
    ],
)
def test_evidence_is_the_log_odds_of_two_normals(
    about: Spread, unrelated: Spread, value: float, evidence: float
) -> None:
    """ln N(x; .5, .1) - ln N(x; .1, .1) = (x - .3) * .4 / .01."""
    contrast = SignalContrast(about, unrelated, min_deviation=0.05)
    assert contrast.evidence(value) == pytest.approx(evidence)


def test_coverage_interpolates_the_quantiles() -> None:
    values = [COVERAGE.share_below(value) for value in (-1.0, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)]
    assert values == pytest.approx([0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0])


def test_a_calibration_survives_the_manifest() -> None:
    read = read_coverage({"coverage": dump_coverage(COVERAGE)}, dimension=4)
    assert (read.nearness, read.terms, read.quantiles) == (
        COVERAGE.nearness,
        COVERAGE.terms,
        COVERAGE.quantiles,
    )
    np.testing.assert_allclose(read.background, COVERAGE.background, atol=1 / 254)


def test_background_similarity_is_the_best_cosine() -> None:
    vector = np.array([0.6, 0.8, 0.0, 0.0], np.float32)
    assert COVERAGE.background_similarity(vector) == pytest.approx(0.8)
    assert read_coverage({}, dimension=4).background_similarity(vector) == -1.0


def test_term_coverage_weighs_rare_words_more() -> None:
    common = TermStatistics("index", 9, 1.0)
    rare = TermStatistics("brin", 1, 3.0)
    unseen = TermStatistics("haiku", 0, 4.0)
    assert term_coverage([common]) == pytest.approx(0.9)
    assert term_coverage([common, rare]) == pytest.approx((0.9 + 1.5) / 4)
    assert term_coverage([common, unseen]) == pytest.approx(0.9 / 5)
    assert term_coverage([]) == 0.0
    assert term_coverage([TermStatistics("everywhere", 5, 0.0)]) == 1.0


def test_p_documents_adds_prior_meaning_and_words() -> None:
    store = StoreSignals(similarity=0.3, coverage=0.25, term_coverage=0.6)
    assert estimate(None, store, COVERAGE, CONSTANTS).p_documents == pytest.approx(2 / 3)
    wordy = StoreSignals(similarity=0.3, coverage=0.25, term_coverage=0.65)
    odds = 2 * math.exp(CONSTANTS.evidence_weight * 0.05 * 0.4 / 0.04)
    estimated = estimate(None, wordy, COVERAGE, CONSTANTS).p_documents
    assert estimated == pytest.approx(odds / (1 + odds))


def test_evidence_from_words_alone_is_limited() -> None:
    estimated = [
        estimate(None, StoreSignals(0.3, 0.25, coverage), COVERAGE, CONSTANTS).p_documents
        for coverage in (0.8, 1.0)
    ]
    odds = 2 * math.exp(CONSTANTS.evidence_weight * CONSTANTS.max_term_evidence)
    assert estimated == pytest.approx([odds / (1 + odds)] * 2)


def test_half_of_the_similarity_to_background_requests_counts_against_a_question() -> None:
    def p_documents(similarity: float, background: float) -> float:
        store = StoreSignals(similarity, 0.4, 0.6, background_similarity=background)
        return estimate(None, store, COVERAGE, CONSTANTS).p_documents

    assert p_documents(0.5, 0.4) == pytest.approx(p_documents(0.3, 0.0))
    assert p_documents(0.5, 0.2) > p_documents(0.5, 0.4)
    assert p_documents(0.5, -1.0) == p_documents(0.5, 0.0)  # none are known


def test_a_store_of_an_earlier_version_is_read_with_the_default_nearness() -> None:
    old = dict(dump_coverage(COVERAGE))
    del old["nearness"]
    assert read_coverage({"coverage": old}, dimension=4).nearness == read_coverage({}, 4).nearness


def test_p_correct_rises_with_margin_and_falls_with_entropy() -> None:
    def p_correct(margin: float, entropy: float) -> float:
        prefill = PrefillSignals(margin, entropy, max_probability=0.5, tokens=6)
        return estimate(prefill, None, COVERAGE, CONSTANTS).p_correct_closed_book

    assert p_correct(1.0, 0.0) == pytest.approx(1 / (1 + math.exp(0.5)))
    assert p_correct(0.2, 2.0) == pytest.approx(1 / (1 + math.exp(3.5)))
    assert p_correct(0.9, 0.5) > p_correct(0.5, 0.5) > p_correct(0.5, 2.0)


def test_p_benefit_is_the_product() -> None:
    estimated = estimate(None, None, COVERAGE, CONSTANTS)
    assert estimated.p_benefit == pytest.approx(2 / 3 * 0.85)


def test_read_passages_count_relative_to_a_neutral_point() -> None:
    def odds(p_sufficient: float | None) -> float:
        store = StoreSignals(0.3, 0.25, 0.6, p_sufficient=p_sufficient)
        p = estimate(None, store, COVERAGE, CONSTANTS).p_documents
        return math.log(p / (1 - p))

    neutral = 1 / (1 + math.exp(-CONSTANTS.neutral_passage_log_odds))
    assert odds(neutral) == pytest.approx(odds(None))
    assert odds(0.9) > odds(0.5) > odds(None) > odds(0.05)
    most = CONSTANTS.passage_weight * (
        CONSTANTS.max_passage_log_odds - CONSTANTS.neutral_passage_log_odds
    )
    assert odds(1.0) == pytest.approx(odds(None) + most)
