"""What a profile shows of its experts: their importance by layer, for terminals and pages."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch

from expertrag.llm.surgery.profiling.importance import ExpertProfile, Method


@dataclass(frozen=True, slots=True)
class HeatRow:
    """The experts of one layer.

    :param layer: number of the decoder layer, from 0.
    :param importance: of each expert, in the unit of the method.
    :param super_experts: numbers of super experts.
    :param top_half: share of the layer's importance that its more important half holds, in [0, 1].
    """

    layer: int
    importance: tuple[float, ...]
    super_experts: tuple[int, ...]
    top_half: float

    @property
    def heat(self) -> tuple[float, ...]:
        """Importance as a share of the layer's largest, in [0, 1]."""
        most = max(self.importance)
        return tuple(value / most if most else 0.0 for value in self.importance)


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The experts of all layers.

    :param domains: that were looked at, each with the same weight.
    :param tokens: of these domains.
    :param top_half: mean over the layers.
    """

    model: str
    method: str
    domains: tuple[str, ...]
    tokens: int
    top_half: float
    layers: tuple[HeatRow, ...]


def heat_map(
    profile: ExpertProfile, name: str, method: Method, domains: Collection[str] = ()
) -> HeatMap:
    """Return the importance of a profile's experts to some domains, or to all.

    :param name: of the model.
    :raises InvalidArgument: a domain is not in the profile.
    """
    importance = profile.importance(method, domains)  # [L, E]
    supers = profile.super_experts()  # [L, E]
    rows = tuple(
        HeatRow(
            number,
            tuple(importance[place].tolist()),
            tuple(supers[place].nonzero().flatten().tolist()),
            _top_half(importance[place]),
        )
        for place, number in enumerate(profile.numbers)
    )
    shown = tuple(domain for domain in profile.domains if not domains or domain in domains)
    return HeatMap(
        name,
        method.value,
        shown,
        sum(int(profile.domains[domain].tokens) for domain in shown),
        sum(row.top_half for row in rows) / len(rows),
        rows,
    )


def _top_half(importance: torch.Tensor) -> float:
    half = math.ceil(len(importance) / 2)
    total = float(importance.sum())
    return float(importance.topk(half).values.sum()) / total if total else 0.0
