"""Measures of how well a confidence score separates right from wrong answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Point = TypeVar("Point")

CURVE_POINTS = 101
"""Maximum number of points of a curve in a report: one per percent."""


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """Return the area under the ROC curve; None if all labels are the same."""
    from sklearn.metrics import roc_auc_score

    if len(set(map(bool, labels))) < 2:
        return None
    return float(roc_auc_score([bool(label) for label in labels], scores))


def risk_coverage(
    confidence: Sequence[float], correct: Sequence[bool]
) -> tuple[tuple[float, float], ...]:
    """Return the risk-coverage curve: (share answered, share of these that is wrong).

    The most confident are answered first. Ties have the risk expected under a random order, so the
    order of the input does not matter. At most ``CURVE_POINTS`` points.
    """
    risks = _risks(confidence, correct)
    return thin([(rank / len(risks), risk) for rank, risk in enumerate(risks, 1)])


def aurc(confidence: Sequence[float], correct: Sequence[bool]) -> float | None:
    """Return the area under the risk-coverage curve, lower is better; None without answers.

    The mean risk over all coverages 1/N, 2/N, …, 1 (Geifman, Uziel & El-Yaniv 2019, section 3, for
    the curve of Geifman & El-Yaniv 2017).
    """
    risks = _risks(confidence, correct)
    return sum(risks) / len(risks) if risks else None


def thin(points: Sequence[Point], most: int = CURVE_POINTS) -> tuple[Point, ...]:
    """Keep ``most`` evenly spaced points of a curve, including its first and last."""
    last = len(points) - 1
    if last < most:
        return tuple(points)
    return tuple(points[round(step * last / (most - 1))] for step in range(most))


def _risks(confidence: Sequence[float], correct: Sequence[bool]) -> list[float]:
    """Risk of answering the 1, 2, …, N most confident."""
    if not len(confidence):
        return []
    wrong = 1.0 - np.asarray(correct, float)
    _, group, size = np.unique(
        -np.asarray(confidence, float), return_inverse=True, return_counts=True
    )
    expected = np.bincount(group, weights=wrong) / size  # [groups], the most confident first
    errors = np.cumsum(np.repeat(expected, size))
    risks: list[float] = (errors / np.arange(1, len(wrong) + 1)).tolist()
    return risks
