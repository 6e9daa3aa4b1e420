"""Sufficiency of passages, learned from rows with a planted truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from expertrag_lab.reliability import ece
from expertrag_lab.train.gate.sufficiency import FEWEST, FittedSufficiency, fit_sufficiency
from expertrag_retriever.errors import GateError
from expertrag_retriever.gate.signals import Signals
from expertrag_retriever.gate.sufficiency import Sufficiency

N = 600


def drawn(seed: int) -> tuple[list[Signals], list[bool]]:
    """Log odds are 2 · recall - missing words; the similarity is uninformative."""
    rng = np.random.default_rng(seed)
    recall, missing, noise = rng.normal(size=(3, N))
    sufficient = rng.uniform(size=N) < 1 / (1 + np.exp(missing - 2 * recall))
    signals = [
        Signals(
            {
                "evidence_recall_best": float(recall[row]),
                "evidence_missing": float(missing[row]),
                "evidence_dense_best": float(noise[row]),
                "question_words": float(sufficient[row]),  # of the wording: nor this
                "documents_log_odds": float(sufficient[row]),  # of the store: not to be looked at
            }
        )
        for row in range(N)
    ]
    return signals, sufficient.tolist()


@pytest.fixture(scope="module")
def fitted() -> FittedSufficiency:
    return fit_sufficiency(*drawn(0))


def test_recovers_and_calibrates_the_planted_truth(fitted: FittedSufficiency) -> None:
    signals, sufficient = drawn(1)
    said = fitted.model.probability(signals)
    assert roc_auc_score(sufficient, said) > 0.85
    assert ece(said.tolist(), sufficient) < 0.08
    assert [block.name for block in fitted.model.design.blocks] == ["evidence numbers"]


def test_predictions_come_from_models_that_had_not_seen_the_row() -> None:
    rng = np.random.default_rng(7)
    noise = [
        Signals({f"evidence_{column}": float(value) for column, value in enumerate(row)})
        for row in rng.normal(size=(200, 40))
    ]
    chance = rng.permutation([True, False] * 100).tolist()
    nothing = fit_sufficiency(noise, chance)
    assert roc_auc_score(chance, nothing.model.probability(noise)) > 0.7  # learned by heart
    assert 0.35 < roc_auc_score(chance, nothing.unseen) < 0.62


def test_survives_a_round_trip(fitted: FittedSufficiency) -> None:
    signals, _ = drawn(2)
    again = Sufficiency.load(*fitted.model.dump())
    assert again.probability(signals).tolist() == fitted.model.probability(signals).tolist()


def test_rejects_too_few_rows_of_one_kind() -> None:
    signals, _ = drawn(0)
    few = [row < FEWEST - 1 for row in range(N)]
    with pytest.raises(GateError, match="there are 39 and 561"):
        fit_sufficiency(signals, few)
