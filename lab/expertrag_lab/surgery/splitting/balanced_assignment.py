"""Assign items to clusters of the same size, at the least cost.

This is a linear assignment with every cluster's column repeated, which takes N² memory. There are
few clusters, so it is solved on them, as a flow (successive shortest paths). Everything begins in
its cheapest cluster. Then move items along the cheapest path from a cluster that has too many to
one that has too few.

N items, C clusters, S items of a cluster
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

_ROUNDING = 1e-9  # as a share of the largest cost: a path that is shorter only by this is not


def balance(costs: np.ndarray, size: int) -> np.ndarray:
    """Return the cluster (N,) of each item, so that all have S items, and the sum is the least.

    :param costs: (N, C) float64 of each item in each cluster.
    :param size: S, with S * C = N.
    """
    assignment = _Assignment(costs)
    while (counts := np.bincount(assignment.cluster, minlength=costs.shape[1])).max() > size:
        assignment.shift(int(counts.argmax()), counts < size)
    return assignment.cluster


@dataclass(slots=True)
class _Assignment:
    """A cheapest assignment to clusters of the sizes that they have now.

    ``gaps``: (C, C) what the cheapest move of an item from one cluster to another costs, and
    ``movers`` the item; infinite from a cluster without items.
    """

    costs: np.ndarray
    cluster: np.ndarray = field(init=False)
    gaps: np.ndarray = field(init=False)
    movers: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        count = self.costs.shape[1]
        self.cluster = self.costs.argmin(axis=1)
        self.gaps = np.full((count, count), np.inf)
        self.movers = np.zeros((count, count), dtype=np.int64)
        for own in range(count):
            self._refresh(own)

    def shift(self, source: int, wanted: np.ndarray) -> None:
        """Take an item from a cluster, and give one to any of those ``wanted`` (C,)."""
        path = self._path(source, wanted)
        for own, other in pairwise(path):
            self.cluster[self.movers[own, other]] = other
        for own in path:
            self._refresh(own)

    def _refresh(self, own: int) -> None:
        members = np.flatnonzero(self.cluster == own)
        if not len(members):
            self.gaps[own] = np.inf
            return
        moves = self.costs[members] - self.costs[members, own][:, None]  # [items, C]
        best = moves.argmin(axis=0)
        self.gaps[own] = moves[best, np.arange(len(best))]
        self.movers[own] = members[best]

    def _path(self, source: int, wanted: np.ndarray) -> list[int]:
        """Return the clusters of the cheapest path (Bellman-Ford: gaps may be negative)."""
        count = len(wanted)
        lengths = np.where(np.arange(count) == source, 0.0, np.inf)
        before = np.full(count, source)
        least = _ROUNDING * float(np.abs(self.costs).max())
        for _ in range(count):
            through = lengths[:, None] + self.gaps
            best = through.argmin(axis=0)
            candidates = through[best, np.arange(count)]
            shorter = candidates < lengths - least
            if not shorter.any():
                break
            lengths = np.where(shorter, candidates, lengths)
            before = np.where(shorter, best, before)
        path = [int(np.where(wanted, lengths, np.inf).argmin())]
        while path[-1] != source:
            path.append(int(before[path[-1]]))
        return path[::-1]
