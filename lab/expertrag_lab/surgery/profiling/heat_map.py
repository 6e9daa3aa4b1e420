"""What a profile shows of its experts: their importance by layer, for terminals and pages.

A few experts may hold nearly all of a layer's importance, so heat is logarithmic. It has a step for
each factor of three, over eight steps, which are the characters of a terminal.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch

from expertrag_lab.surgery.profiling.importance import ExpertProfile, Method

STEPS, FACTOR = 8, 3.0
"""Steps of heat, and the factor of importance from one to the next."""
_FAINT = 0.02  # heat of what is used at all


@dataclass(frozen=True, slots=True)
class HeatRow:
    """The experts of one layer.

    :param layer: number of the decoder layer, from 0.
    :param importance: of each expert, in the unit of the method.
    :param heat: of each expert, in [0, 1]: 1 for the layer's most important, 1 / ``STEPS`` less for
        a third of the importance; 0 if it was not used.
    :param super_experts: numbers of super experts.
    :param top_half: share of the layer's importance that its more important half holds, in [0, 1].
    """

    layer: int
    importance: tuple[float, ...]
    heat: tuple[float, ...]
    super_experts: tuple[int, ...]
    top_half: float


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
            tuple(_heat(importance[place]).tolist()),
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


def _heat(importance: torch.Tensor) -> torch.Tensor:
    heat = 1.0 + (importance / importance.max()).log() / (STEPS * math.log(FACTOR))
    return heat.clamp(min=_FAINT).where(importance > 0, 0.0)


def _top_half(importance: torch.Tensor) -> float:
    half = math.ceil(len(importance) / 2)
    total = float(importance.sum())
    return float(importance.topk(half).values.sum()) / total if total else 0.0
