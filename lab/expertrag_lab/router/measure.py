"""Measures a router's posterior: accuracy, calibration, and the share of texts left unassigned.

N texts, D domains
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from expertrag_index.types import FloatArray
from expertrag_lab.reliability import ece
from expertrag_retriever.router.types import RouterFigures


def figures(posterior: FloatArray, labels: NDArray[np.int64]) -> RouterFigures:
    """Score posteriors (N, D + 1) against the true domains (N,).

    Accuracy and calibration are conditional on the text being of some domain; ``known`` is the
    share of texts that the router assigns to one.
    """
    known = posterior[:, :-1].sum(axis=1)
    conditional = posterior[:, :-1] / np.maximum(known, 1e-9)[:, None]  # [N, D]
    taken = posterior.argmax(axis=1)
    right = conditional.argmax(axis=1) == labels
    return RouterFigures(
        accuracy=float(right.mean()),
        ece=ece(conditional.max(axis=1).tolist(), right.tolist()),
        known=float((known >= 0.5).mean()),
        texts=len(labels),
        use=tuple(np.bincount(taken, minlength=posterior.shape[1]) / len(labels)),
    )


def confusion(posterior: FloatArray, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count texts by true and predicted domain, (D, D + 1); the last column is none."""
    domains = posterior.shape[1] - 1
    counts = np.zeros((domains, domains + 1), dtype=np.int64)
    np.add.at(counts, (labels, posterior.argmax(axis=1)), 1)
    return counts
