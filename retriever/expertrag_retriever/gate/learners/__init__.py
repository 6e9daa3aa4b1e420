"""The models that a gate may have, and the settings of each that are tried.

logistic    L2-penalised regression
boosted     gradient-boosted trees
mlp         a small perceptron
kernel      ridge regression on a sum of Gaussian kernels, one for each block of signals
neighbours  singular-kernel baseline
evidential  Dirichlet evidence of each block, combined by Dempster's rule
smoothing   a closed-book and a retrieval expert with a soft gate between them
mixture     mean of logistic, kernel, evidential and smoothing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from expertrag_retriever.gate.learners.base import GateModel, Rows
from expertrag_retriever.gate.learners.boosted import Boosted
from expertrag_retriever.gate.learners.evidential import Evidential
from expertrag_retriever.gate.learners.kernel import Kernel
from expertrag_retriever.gate.learners.linear import Linear
from expertrag_retriever.gate.learners.mixture import MEMBERS, Mixture
from expertrag_retriever.gate.learners.neighbours import Neighbours
from expertrag_retriever.gate.learners.network import Perceptron
from expertrag_retriever.gate.learners.smoothing import Smoothing

MODELS: Mapping[str, type[GateModel]] = {
    kind.name: kind
    for kind in (Linear, Boosted, Perceptron, Kernel, Neighbours, Evidential, Smoothing, Mixture)
}

_LINEAR = [{"strength": strength} for strength in (0.0003, 0.001, 0.01, 0.1)]

GRID: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "logistic": _LINEAR,
    "boosted": [{"trees": 60, "rate": 0.05}],
    "mlp": [{"units": 16, "penalty": penalty} for penalty in (1.0, 10.0)],
    "kernel": [{"penalty": penalty, "landmarks": 1000} for penalty in (1.0, 3.0, 10.0)],
    "neighbours": [
        {"neighbours": count, "power": power} for count in (50, 200) for power in (1.0, 4.0)
    ],
    "evidential": [{"penalty": penalty} for penalty in (0.1, 1.0)],
    "smoothing": _LINEAR,
    "mixture": [],  # of the settings that are best for its members
}
"""Settings by model, from which cross-validation chooses."""

MIXED = tuple(kind.name for kind in MEMBERS)
"""Members of the mixture."""

__all__ = ["GRID", "MIXED", "MODELS", "GateModel", "Rows"]
