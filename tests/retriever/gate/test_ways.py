"""The way of reading with the highest expected utility."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from retriever.gate.conftest import Planted

from expertrag_retriever.errors import GateError
from expertrag_retriever.gate import fitted
from expertrag_retriever.gate.bundle import GateBundle, Needs, load_gate, save_gate
from expertrag_retriever.gate.fitting import Predictor, fit_predictor
from expertrag_retriever.gate.signals import GATE_GROUPS, Signals
from expertrag_retriever.gate.ways import ONE_STEP, Way, best_of, choose


@pytest.mark.parametrize(
    ("cost", "best"), [(0.0, "multi_step"), (0.02, "one_step"), (0.2, "one_passage")]
)
def test_reads_less_the_more_a_step_costs(cost: float, best: str) -> None:
    p_right = {"one_step": 0.50, "one_passage": 0.45, "multi_step": 0.51}
    seconds = {"one_step": 1.0, "one_passage": 0.5, "multi_step": 2.0}
    assert best_of(p_right, seconds, cost) == best


def test_one_step_wins_ties() -> None:
    equal = {"one_step": 0.5, "one_passage": 0.5}
    assert best_of(equal, dict.fromkeys(equal, 1.0), 0.1) == "one_step"


@pytest.fixture(scope="module")
def bundle(rows: Planted) -> GateBundle:
    """One passage is right if the store is similar to the question, one step if it is not."""
    similarity = np.array([row.numbers["documents_log_odds"] for row in rows.signals])
    rng = np.random.default_rng(1)
    one_step = rng.uniform(size=len(similarity)) < 0.5 - 0.4 * similarity
    passage = rng.uniform(size=len(similarity)) < 0.5 + 0.4 * similarity
    closed = rng.uniform(size=len(similarity)) < 0.1

    def fit(right: np.ndarray) -> Predictor:
        both = np.stack([closed, right], axis=1)
        found = fit_predictor(rows.signals, both, groups=GATE_GROUPS, models=("logistic",))
        return found.predictor

    return GateBundle(
        "ways",
        fit(one_step),
        threshold=0.0,
        benefits=(0.1, 0.2),
        needs=Needs(),
        card={},
        ways={"one_passage": Way(fit(passage), 0.5)},
        cost=0.02,
    )


def at(similarity: float) -> Signals:
    return Signals({"documents_log_odds": similarity, "margin": 0.5, "question_words": 9.0})


def test_each_query_is_read_by_its_best_way(bundle: GateBundle) -> None:
    near = fitted.decide(bundle, at(0.9))
    far = fitted.decide(bundle, at(-0.9))
    assert (near.k, near.steps) == (1, 1)
    assert near.p_correct_retrieval == pytest.approx(0.65, abs=0.01)
    assert "one passage: right with probability 0.6" in near.reason
    assert "one passage has the highest utility at a cost of 0.02 per step" in near.reason
    assert (far.k, far.steps) == (None, None)
    assert "all passages has the highest utility" in far.reason
    choice = choose(bundle.ways, at(0.9), 0.1, 0.02)
    assert choice.p_right[ONE_STEP] == 0.1
    assert choice.p_right["one_passage"] == pytest.approx(0.65, abs=0.01)  # calibrated, shrunk


def test_an_unused_vector_may_be_non_finite(bundle: GateBundle) -> None:
    broken = replace(at(0.9), vectors={"hidden_upper": np.array([np.inf, 0.0], np.float32)})
    assert not fitted.decide(bundle, broken).warnings[1:]
    assert fitted.decide(bundle, broken).k == 1
    seen = replace(at(0.9), vectors={"question_embedding": np.full(8, np.nan, np.float32)})
    assert "not finite: question_embedding" in fitted.decide(bundle, seen).warnings[0]


def test_rejects_ways_of_another_version(bundle: GateBundle, tmp_path: Path) -> None:
    save_gate(replace(bundle, ways={"by_heart": bundle.ways["one_passage"]}), tmp_path)
    with pytest.raises(GateError, match="unknown ways of reading: by_heart"):
        load_gate(tmp_path)


def test_closed_book_reads_nothing(bundle: GateBundle) -> None:
    decision = fitted.decide(bundle, at(0.9), threshold=1.0)
    assert not decision.retrieve
    assert decision.k is None
    assert "ways to read" not in decision.reason


def test_ways_are_written_and_read(bundle: GateBundle, tmp_path: Path) -> None:
    save_gate(bundle, tmp_path)
    again = load_gate(tmp_path)
    assert again.cost == 0.02
    assert again.ways["one_passage"].seconds == 0.5
    for similarity in (-0.5, 0.0, 0.7):
        before, after = (fitted.decide(gate, at(similarity)) for gate in (bundle, again))
        assert (after.k, after.reason) == (before.k, before.reason)
    other = save_gate(replace(bundle, cost=0.05), tmp_path)
    assert other != again.fingerprint
