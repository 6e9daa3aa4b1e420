"""Every model of the gate learns, survives a round trip, and gives sound probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from retriever.gate.conftest import Planted, planted

from expertrag_retriever.gate.design import Design
from expertrag_retriever.gate.learners import GRID, MIXED, MODELS, GateModel, Rows
from expertrag_retriever.gate.learners.evidential import Evidential
from expertrag_retriever.gate.signals import GATE_GROUPS

WORST = {"evidential": 0.1}
"""Least correlation of the gain with the truth, for models that fit these rows less well."""


def _fit(name: str, rows: Planted) -> tuple[GateModel, Rows]:
    design = Design.fit(rows.signals, GATE_GROUPS)
    fitted = Rows(design.matrix(rows.signals), rows.right, design)
    settings = {k: GRID[k][-1] for k in MIXED} if name == "mixture" else GRID[name][-1]
    return MODELS[name].fit(fitted, 0, **settings), fitted


@pytest.mark.parametrize("name", MODELS)
def test_a_model_ranks_new_queries_by_the_gain_of_retrieval_and_survives_a_round_trip(
    name: str, rows: Planted
) -> None:
    model, fitted = _fit(name, rows)
    fresh = planted(300, seed=1)
    said = model.predict(fitted.design.matrix(fresh.signals))
    assert said.shape == (300, 2)
    assert ((said >= 0) & (said <= 1)).all()
    gain = said[:, 1] - said[:, 0]
    truth = fresh.right[:, 1].astype(float) - fresh.right[:, 0]
    assert np.corrcoef(gain, truth)[0, 1] > WORST.get(name, 0.25)
    again = MODELS[name].load(dict(model.dump()))
    assert np.allclose(again.predict(fitted.x), model.predict(fitted.x), atol=1e-6)


def test_without_evidence_the_base_rates_remain() -> None:
    model = Evidential(
        weights=np.zeros((2, 4)),
        bias=np.full((1, 4), -50.0),  # no evidence for anything
        rates=np.array([0.4, 0.1, 0.3, 0.2]),
        starts=np.array([0.0, 2.0]),
    )
    said = model.predict(np.zeros((1, 2)))
    assert said[0] == pytest.approx([0.1 + 0.2, 0.3 + 0.2], abs=1e-6)


def test_agreeing_blocks_are_more_certain_together() -> None:
    weights = np.zeros((2, 4))
    weights[:, 2] = 5.0  # both blocks give evidence for "retrieval alone"
    both = Evidential(weights, np.full((2, 4), -5.0), np.full(4, 0.25), np.array([0.0, 1.0, 2.0]))
    one = Evidential(weights[:1], np.full((1, 4), -5.0), np.full(4, 0.25), np.array([0.0, 1.0]))
    x = np.ones((1, 2))
    assert 0 < both.uncertainty(x)[0] < one.uncertainty(x[:, :1])[0] < 1
    assert both.predict(x)[0, 1] > one.predict(x[:, :1])[0, 1]
