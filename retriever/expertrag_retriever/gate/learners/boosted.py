"""Gradient-boosted trees (Friedman 2001), an ensemble for each way of answering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.learners.base import WAYS, Arrays, GateModel, Rows
from expertrag_retriever.gate.odds import logistic

_DEPTH = 3
_SHARE_OF_ROWS = 0.7
_SHARE_OF_COLUMNS = 0.3
_SMALLEST_LEAF = 20


@dataclass(frozen=True, slots=True, eq=False)
class Boosted(GateModel):
    """T trees for each of the 2 ways, their nodes padded to M.

    ``column``, ``left``, ``right`` [2, T, M]: where a node looks and goes; a leaf goes to itself.
    ``limit``, ``value`` [2, T, M]; ``bias`` [2].
    """

    name = "boosted"
    column: NDArray[np.int32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    limit: Matrix
    value: Matrix
    bias: Matrix

    @classmethod
    def fit(cls, rows: Rows, seed: int, **settings: Any) -> Self:
        """Fit the ensembles. ``trees``: how many; ``rate``: weight of each."""
        from sklearn.ensemble import GradientBoostingClassifier

        trees, rate = settings["trees"], settings["rate"]
        most = 2 ** (_DEPTH + 1)
        shape = (WAYS, trees, most)
        column, left, right = (np.zeros(shape, np.int32) for _ in range(3))
        limit, value, bias = np.zeros(shape), np.zeros(shape), np.zeros(WAYS)
        for way, target in enumerate(rows.right.T):
            fitted = GradientBoostingClassifier(
                n_estimators=trees,
                learning_rate=rate,
                max_depth=_DEPTH,
                subsample=_SHARE_OF_ROWS,
                max_features=_SHARE_OF_COLUMNS,
                min_samples_leaf=_SMALLEST_LEAF,
                random_state=seed,
            ).fit(rows.x, target)
            share = target.mean()
            bias[way] = np.log(share / (1 - share))
            for place, tree in enumerate(item.tree_ for item in fitted.estimators_[:, 0]):
                nodes = np.arange(tree.node_count)
                leaf = tree.children_left < 0
                at = (way, place, slice(tree.node_count))
                column[at] = np.where(leaf, 0, tree.feature)
                left[at] = np.where(leaf, nodes, tree.children_left)
                right[at] = np.where(leaf, nodes, tree.children_right)
                limit[at] = tree.threshold
                value[at] = rate * tree.value[:, 0, 0]
        return cls(column, left, right, limit, value, bias)

    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2]."""
        x = x.astype(np.float32).astype(float)  # trees compare single precision
        ways, trees, _ = self.column.shape
        way = np.arange(ways)[None, :, None]
        tree = np.arange(trees)[None, None, :]
        row = np.arange(len(x))[:, None, None]
        node = np.zeros((len(x), ways, trees), np.int32)
        for _ in range(_DEPTH):
            below = x[row, self.column[way, tree, node]] <= self.limit[way, tree, node]
            node = np.where(below, self.left[way, tree, node], self.right[way, tree, node])
        return logistic(self.bias + self.value[way, tree, node].sum(axis=2))

    def dump(self) -> Arrays:
        """Return the state."""
        return {name: getattr(self, name) for name in _STATE}

    @classmethod
    def load(cls, arrays: Arrays) -> Self:
        """Read the state."""
        return cls(*(arrays[name] for name in _STATE))


_STATE = ("column", "left", "right", "limit", "value", "bias")
