"""The evidence of the blocks of signals, combined."""

from __future__ import annotations

import numpy as np
import pytest

from expertrag_retriever.gate.learners.evidential import Evidential


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
    assert both.predict(x)[0, 1] > one.predict(x[:, :1])[0, 1]
