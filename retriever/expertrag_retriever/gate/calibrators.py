"""Calibration: maps a model's scores to probabilities that match the observed frequencies.

Every map is strictly increasing, so it never changes the order of two queries. Maps are fitted on
predictions for rows that the model had not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.odds import log_odds


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Piecewise linear map through increasing points (log odds, probability).

    ``kind`` is the method that fitted them: ``platt`` (Platt 1999: a logistic curve),
    ``temperature`` (Guo et al. 2017: the same without a shift), ``isotonic`` (Zadrozny & Elkan
    2002).
    """

    kind: str
    odds: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __call__(self, probabilities: Matrix) -> Matrix:
        """Calibrate probabilities [N]."""
        return np.interp(log_odds(probabilities), self.odds, self.probabilities)


def load_calibrator(stored: Mapping[str, Any]) -> Calibrator:
    """Read a calibrator from JSON."""
    return Calibrator(stored["kind"], tuple(stored["odds"]), tuple(stored["probabilities"]))
