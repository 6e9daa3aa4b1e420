"""The models that a gate can use, and the settings to try for each.

logistic    L2-penalised regression
kernel      ridge regression on a sum of Gaussian kernels, one per block of signals
neighbours  singular-kernel baseline
evidential  Dirichlet evidence of each block, combined by Dempster's rule
smoothing   a closed-book and a retrieval predictor with a soft gate between them
mixture     mean of logistic, kernel, evidential and smoothing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from expertrag_retriever.gate.learners.base import GateModel, Rows
from expertrag_retriever.gate.learners.evidential import Evidential
from expertrag_retriever.gate.learners.kernel import Kernel
from expertrag_retriever.gate.learners.linear import Linear
from expertrag_retriever.gate.learners.mixture import MEMBERS, ModelMixture
from expertrag_retriever.gate.learners.neighbours import Neighbours
from expertrag_retriever.gate.learners.smoothing import Smoothing

MODELS: Mapping[str, type[GateModel]] = {
    kind.name: kind for kind in (Linear, Kernel, Neighbours, Evidential, Smoothing, ModelMixture)
}

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

__all__ = ["GRID", "MIXED", "MODELS", "GateModel", "Rows"]
