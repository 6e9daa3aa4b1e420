"""The probe of scopes finds the direction of each scope."""

from __future__ import annotations

import numpy as np

from expertrag.answer.scope import SCOPES
from expertrag_lab.train.scope.probe import fit_probe


def draw(count: int, seed: int) -> tuple[np.ndarray, list[int]]:
    """Draw states with one direction for each scope, on a common offset."""
    rng = np.random.default_rng(seed)
    target = rng.integers(len(SCOPES), size=count)
    states = rng.normal(size=(count, 24))
    states[np.arange(count), target] += 5.0
    return (3 * states + 7).astype(np.float32), target.tolist()


def test_it_tells_scopes_of_unseen_states_apart() -> None:
    states, target = draw(1800, 0)
    weights, bias = fit_probe(states, [SCOPES[each] for each in target])
    unseen, wanted = draw(900, 1)
    assert weights.shape == (len(SCOPES), 24)
    assert np.mean((unseen @ weights.T + bias).argmax(axis=1) == wanted) > 0.9
