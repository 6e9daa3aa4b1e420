"""How a router chooses the experts of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class Router:
    """How a router chooses ``top_k`` of ``experts``: by softmax, best first, unless told otherwise.

    experts: null ones included
    nulls: how many of the ``experts``, the last ones, are null experts. The next mix has no weights
        for them, and a row that chooses one computes nothing (AdaMoE, Zeng et al. 2024).
    light: how many of a row's ``top_k`` experts, the ones with the least weights, are for
        the next :meth:`Steps.light`, and not for the next mix
    sigmoid: take all ``top_k`` experts, weighted by sigmoid: the gate of a shared expert
    normalise: make the weights sum to 1
    groups, top_groups: the experts are in groups, and only the best groups' experts are chosen
    scale: multiplies the weights
    correction: (experts,); choose by sigmoid + correction, weighted by sigmoid
    mixer_margin: weigh by SparseMixer with this relative margin
    """

    experts: int
    top_k: int
    nulls: int = 0
    light: int = 0
    sigmoid: bool = False
    normalise: bool = False
    groups: int = 1
    top_groups: int = 1
    scale: float = 1.0
    correction: torch.Tensor | None = None
    mixer_margin: float | None = None

    @property
    def is_corrected(self) -> bool:
        """Whether it chooses by sigmoid and a correction."""
        return self.correction is not None

    @property
    def is_mixed(self) -> bool:
        """Whether it chooses by SparseMixer."""
        return self.mixer_margin is not None

    @property
    def true_experts(self) -> int:
        """How many experts compute something."""
        return self.experts - self.nulls

    @property
    def main(self) -> int:
        """How many experts of a row are for the next mix."""
        return self.top_k - self.light


def widest(routers: Sequence[Router]) -> int:
    """Return the largest number of experts of a router, E of ``SequenceRows.open``."""
    return max((router.experts for router in routers), default=0)
