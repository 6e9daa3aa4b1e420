"""A fitted gate's prediction: its design, its model and its calibration.

Legend: N rows, 2 ways of answering (closed book, with retrieval).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from expertrag_retriever.gate.calibrators import Calibrator
from expertrag_retriever.gate.design import Design, Matrix
from expertrag_retriever.gate.learners import GateModel
from expertrag_retriever.gate.signals import Signals


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Calibrated predictions of a gate for N queries; arrays are [N].

    ``closed`` and ``retrieval`` are the probabilities that the two answers are right, ``benefit``
    that only the one with retrieval is. ``benefit`` increases with the gain retrieval - closed,
    which ranks the queries: the harm that retrieval does counts against it.
    """

    closed: Matrix
    retrieval: Matrix
    benefit: Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The maps from a model's probabilities to calibrated ones."""

    closed: Calibrator
    retrieval: Calibrator
    benefit: Calibrator

    def __call__(self, raw: Matrix) -> Predictions:
        """Calibrate a model's probabilities [N, 2]."""
        return Predictions(
            self.closed(raw[:, 0]), self.retrieval(raw[:, 1]), self.benefit(gain_of(raw))
        )


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A fitted model with its design and its calibration."""

    design: Design
    model: GateModel
    calibration: Calibration

    def predict(self, rows: Sequence[Signals]) -> Predictions:
        """Predict for N queries."""
        return self.predict_columns(self.design.matrix(rows))

    def predict_columns(self, x: Matrix) -> Predictions:
        """Predict from the columns [N, F] of queries."""
        return self.calibration(self.model.predict(x))


def gain_of(predicted: Matrix) -> Matrix:
    """Gain of retrieval [N], from [-1, 1] to [0, 1]."""
    gain: Matrix = (1.0 + predicted[:, 1] - predicted[:, 0]) / 2.0
    return gain
