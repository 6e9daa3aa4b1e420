"""The design of a gate: signals as columns."""

from __future__ import annotations

import numpy as np
import pytest
from retriever.gate.conftest import Planted

from expertrag_lab.train.gate.design import GATE_GROUPS, fit_design
from expertrag_retriever.errors import GateError
from expertrag_retriever.gate.signals import SignalGroup, Signals


def test_missing_and_non_finite_signals_are_set_to_their_mean(rows: Planted) -> None:
    design = fit_design(rows.signals, GATE_GROUPS)
    broken = Signals({"documents_log_odds": float("nan"), "margin": 0.5})
    x = design.matrix([broken, Signals({})])
    assert np.isfinite(x).all()
    assert x[:, design.slices["store numbers"]] == pytest.approx(0.0)
    assert (x[:, design.slices["question_embedding"]] == 0.0).all()


def test_rejects_rows_without_a_varying_signal(rows: Planted) -> None:
    with pytest.raises(GateError, match="no signal of draft varies"):
        fit_design(rows.signals, (SignalGroup.DRAFT,))
    same = [Signals({"margin": 0.5}) for _ in rows.signals]
    with pytest.raises(GateError, match="no signal of prefill varies"):
        fit_design(same, (SignalGroup.PREFILL,))
