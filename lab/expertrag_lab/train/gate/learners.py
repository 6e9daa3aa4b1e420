"""How each model of a gate is fitted, and the settings to try for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from expertrag_lab.train.gate.design import Rows
from expertrag_lab.train.gate.evidential import fit_evidential
from expertrag_lab.train.gate.smoothing import fit_smoothing
from expertrag_retriever.gate.learners import GateModel
from expertrag_retriever.gate.learners.kernel import Kernel, kernel_matrix
from expertrag_retriever.gate.learners.linear import Linear
from expertrag_retriever.gate.learners.mixture import MEMBERS, ModelMixture
from expertrag_retriever.gate.learners.neighbours import Neighbours

_MOST_ITERATIONS = 300
_JITTER = 1e-6

_LINEAR = [{"strength": strength} for strength in (0.0003, 0.001, 0.01, 0.1)]

GRID: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "logistic": _LINEAR,
    "kernel": [{"penalty": penalty, "landmarks": 1000} for penalty in (1.0, 3.0, 10.0)],
    "neighbours": [
        {"neighbours": count, "power": power} for count in (50, 200) for power in (1.0, 4.0)
    ],
    "evidential": [{"penalty": penalty} for penalty in (0.1, 1.0)],
    "smoothing": _LINEAR,
    "mixture": [],  # uses the best settings of its members
}
"""Settings by model; cross-validation chooses among them."""

MIXED = tuple(kind.name for kind in MEMBERS)
"""Members of the mixture."""


def fit_linear(rows: Rows, seed: int, **settings: Any) -> Linear:
    """Fit both regressions. ``strength``: inverse of the penalty."""
    from sklearn.linear_model import LogisticRegression

    fitted = [
        LogisticRegression(C=settings["strength"], max_iter=_MOST_ITERATIONS).fit(rows.x, target)
        for target in rows.right.T
    ]
    return Linear(
        np.stack([item.coef_[0] for item in fitted], axis=1),
        np.array([item.intercept_[0] for item in fitted]),
    )


def fit_kernel(rows: Rows, seed: int, **settings: Any) -> Kernel:
    """Fit. ``penalty``: ridge penalty; ``landmarks``: most rows to keep."""
    most = min(settings["landmarks"], len(rows.x))
    chosen = np.random.default_rng(seed).permutation(len(rows.x))[:most]
    landmarks = rows.x[np.sort(chosen)].astype(np.float16).astype(float)  # as stored on disk
    blocks = rows.design.blocks
    starts = np.cumsum([0, *(block.columns for block in blocks)])
    sizes = np.array([len(block.mean) for block in blocks])
    among = kernel_matrix(landmarks, landmarks, starts, sizes)  # [M, M]
    to = kernel_matrix(rows.x, landmarks, starts, sizes)  # [N, M]
    bias = rows.right.mean(axis=0)
    left = to.T @ to + settings["penalty"] * (among + _JITTER * np.eye(most))
    weights = np.linalg.solve(left + _JITTER * np.eye(most), to.T @ (rows.right - bias))
    return Kernel(landmarks, weights, bias, starts, sizes)


def fit_neighbours(rows: Rows, seed: int, **settings: Any) -> Neighbours:
    """Store the rows. ``neighbours``: how many to use; ``power``: exponent of the distance."""
    about = np.array([settings["neighbours"], settings["power"]], float)
    return Neighbours(rows.x.astype(np.float16), rows.right, about)


def fit_mixture(rows: Rows, seed: int, **settings: Any) -> ModelMixture:
    """Fit every member with the settings under its name."""
    return ModelMixture(
        tuple(FITTERS[kind.name](rows, seed, **settings[kind.name]) for kind in MEMBERS)
    )


FITTERS: Mapping[str, Callable[..., GateModel]] = {
    "logistic": fit_linear,
    "kernel": fit_kernel,
    "neighbours": fit_neighbours,
    "evidential": fit_evidential,
    "smoothing": fit_smoothing,
    "mixture": fit_mixture,
}
"""The function that fits each model to rows, with a seed and settings of its own."""
