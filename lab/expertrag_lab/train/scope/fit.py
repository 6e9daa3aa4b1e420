"""Fit, quantise and bound the regression that recognises the scope of a question."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expertrag.answer.scope import ABOUT, OTHERS, SCOPES, WEIGHTS, ScopeProbabilities, ScopeWeights
from expertrag.answer.scope_features import BUCKETS, letter_buckets, word_buckets, words_of
from expertrag_common import checksums
from expertrag_retriever.types import QuestionScope

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from expertrag_index.types import FloatArray

EPOCHS = 4
BATCH = 256
RATE = 0.05
LEFT_OUT = 0.5
"""Share of a question's features that a step does not see."""
BOUNDS = tuple(round(0.02 * step, 2) for step in range(20, 50))
"""Acceptance bounds to choose from."""

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.99, 1e-8
_STEPS = 127  # of a quantised weight
_OTHER_COLUMNS = [SCOPES.index(scope) for scope in OTHERS]


def matrix(texts: Sequence[str]) -> csr_matrix:
    """Return the features of questions, [N, B]; each group of features has length 1."""
    words = [words_of(text) for text in texts]
    return _matrix(map(word_buckets, words)) + _matrix(map(letter_buckets, words))


def _matrix(rows: Iterable[Sequence[int]]) -> csr_matrix:
    from scipy.sparse import csr_matrix

    columns: list[NDArray[np.int32]] = []
    ends = [0]
    for row in rows:
        # in one order: the features of a set come in any, and a step leaves some out by position
        columns.append(np.sort(np.array(row, np.int32)))
        ends.append(ends[-1] + len(row))
    lengths = np.diff(ends)
    values = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths).astype(np.float32)
    parts = (values, np.concatenate(columns), np.array(ends, np.int64))
    return csr_matrix(parts, shape=(len(lengths), BUCKETS))


def fit(
    features: csr_matrix, target: Sequence[int], seed: int = 0, epochs: int = EPOCHS
) -> ScopeWeights:
    """Fit by Adam on features [N, B] and the columns of their scopes [N]; no bounds yet.

    A share of the features is left out at random in every step, so that no single word decides.
    """
    draw = np.random.default_rng(seed)
    classes = np.eye(len(SCOPES), dtype=np.float32)[np.asarray(target)]
    weights = np.zeros((BUCKETS + 1, len(SCOPES)), np.float32)  # the last row is the bias
    state = np.zeros_like(weights), np.zeros_like(weights)
    steps = epochs * -(-len(target) // BATCH)
    step = 0
    for _ in range(epochs):
        order = draw.permutation(len(target))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = features[rows]
            batch.data *= (draw.random(batch.nnz, np.float32) >= LEFT_OUT) / (1 - LEFT_OUT)
            error = _softmax(batch @ weights[:-1] + weights[-1]) - classes[rows]
            gradient = np.vstack([batch.T @ error, error.sum(axis=0)]) / len(rows)
            step += 1
            rate = RATE * (1 - (step - 1) / steps)
            _adam(weights, gradient.astype(np.float32), state, step, rate)
    return quantise(weights[:-1], weights[-1])


def _adam(
    weights: FloatArray,
    gradient: FloatArray,
    state: tuple[FloatArray, FloatArray],
    step: int,
    rate: float,
) -> None:
    first, second = state
    first += (1 - _BETA_1) * (gradient - first)
    second += (1 - _BETA_2) * (gradient * gradient - second)
    correction = math.sqrt(1 - _BETA_2**step) / (1 - _BETA_1**step)
    weights -= rate * correction * first / (np.sqrt(second) + _EPSILON)


def quantise(weights: NDArray[Any], bias: NDArray[Any]) -> ScopeWeights:
    """Quantise weights [B, C] to 8 bits, with one scale for each scope."""
    scales = np.abs(weights).max(axis=0) / _STEPS
    steps = np.round(weights / scales).astype(np.int8)
    return ScopeWeights(steps, scales.astype(np.float32), bias.astype(np.float32), {})


def predict(fitted: ScopeWeights, texts: Sequence[str]) -> FloatArray:
    """Return the probabilities of many questions, [N, C]."""
    return _softmax(matrix(texts) @ (fitted.weights * fitted.scales) + fitted.bias)


def _softmax(odds: FloatArray) -> FloatArray:
    shares = np.exp(odds - odds.max(axis=1, keepdims=True))
    result: FloatArray = shares / shares.sum(axis=1, keepdims=True)
    return result


def choose_bounds(
    lookups: FloatArray, most_taken: Mapping[QuestionScope, float]
) -> dict[QuestionScope, float]:
    """Choose the lowest bound at which few enough lookups are taken for each scope.

    :param lookups: probabilities of lookup questions, [N, C].
    :param most_taken: the largest share of them that may be taken for each scope.
    """
    return {
        scope: next(
            (bound for bound in BOUNDS if _measure_taken(lookups, scope, bound) <= most), BOUNDS[-1]
        )
        for scope, most in most_taken.items()
    }


def _measure_taken(probabilities: FloatArray, scope: QuestionScope, bound: float) -> float:
    likeliest = probabilities[:, _OTHER_COLUMNS].argmax(axis=1)
    taken = probabilities[likeliest == OTHERS.index(scope), SCOPES.index(scope)] >= bound
    return float(taken.sum()) / len(probabilities)


def accept(probabilities: FloatArray, bounds: Mapping[QuestionScope, float]) -> list[QuestionScope]:
    """Return the accepted scope of each question, [N]."""
    rows = (dict(zip(SCOPES, row, strict=True)) for row in probabilities.tolist())
    return [ScopeProbabilities(row, bounds).accepted for row in rows]


def save_scope(fitted: ScopeWeights, training: Mapping[str, Any], card: str, folder: Path) -> None:
    """Write a bundle into an existing folder."""
    np.savez_compressed(
        folder / WEIGHTS, weights=fitted.weights, scales=fitted.scales, bias=fitted.bias
    )
    bounds = {scope.value: bound for scope, bound in fitted.bounds.items()}
    body = {"bounds": bounds, "training": dict(training)}
    (folder / ABOUT).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    checksums.seal(folder, WEIGHTS, ABOUT)
    (folder / "README.md").write_text(card, encoding="utf-8")
