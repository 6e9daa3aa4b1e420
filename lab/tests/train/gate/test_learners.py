"""Every model of the gate learns, survives a round trip, and gives sound probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from retriever.gate.conftest import Planted, planted

from expertrag_lab.train.gate.design import GATE_GROUPS, Rows, fit_design
from expertrag_lab.train.gate.learners import FITTERS, GRID, MIXED
from expertrag_retriever.gate.learners import MODELS, GateModel

WORST = {"evidential": 0.1}
"""Least correlation of the gain with the truth, for models that fit these rows less well."""


def _fit(name: str, rows: Planted) -> tuple[GateModel, Rows]:
    design = fit_design(rows.signals, GATE_GROUPS)
    fitted = Rows(design.matrix(rows.signals), rows.right, design)
    settings = {k: GRID[k][-1] for k in MIXED} if name == "mixture" else GRID[name][-1]
    return FITTERS[name](fitted, 0, **settings), fitted


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
