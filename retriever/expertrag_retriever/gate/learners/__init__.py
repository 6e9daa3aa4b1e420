"""The models that a gate can use.

logistic    L2-penalised regression
kernel      ridge regression on a sum of Gaussian kernels, one per block of signals
neighbours  singular-kernel baseline
evidential  Dirichlet evidence of each block, combined by Dempster's rule
smoothing   a closed-book and a retrieval predictor with a soft gate between them
mixture     mean of logistic, kernel, evidential and smoothing
"""

from __future__ import annotations

from collections.abc import Mapping

from expertrag_retriever.gate.learners.base import GateModel
from expertrag_retriever.gate.learners.evidential import Evidential
from expertrag_retriever.gate.learners.kernel import Kernel
from expertrag_retriever.gate.learners.linear import Linear
from expertrag_retriever.gate.learners.mixture import ModelMixture
from expertrag_retriever.gate.learners.neighbours import Neighbours
from expertrag_retriever.gate.learners.smoothing import Smoothing

MODELS: Mapping[str, type[GateModel]] = {
    kind.name: kind for kind in (Linear, Kernel, Neighbours, Evidential, Smoothing, ModelMixture)
}

__all__ = ["MODELS", "GateModel"]
