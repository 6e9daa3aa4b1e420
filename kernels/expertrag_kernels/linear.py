"""Experts of one linear layer, chosen per text: low-rank updates or whole copies.

    N texts, L tokens of a text, K experts of a text, E experts, R rank, I in, O out

A batch with any mixture of experts runs once. An index >= E is a sentinel: the base layer alone, at
no cost. The result for a text without experts is bit-identical to the base layer's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True, slots=True)
class LowRankExperts:
    """Expert e adds up[e] @ (down[e] @ x) (LoRA, Hu et al. 2021; ``up`` includes its scale).

    down: (E, R, I)
    up: (E, O, R)
    """

    down: torch.Tensor
    up: torch.Tensor


@dataclass(frozen=True, slots=True)
class CopiedExperts:
    """Expert e is a separate layer: weight[e] @ x + bias[e].

    weight: (E, O, I)
    bias: (E, O), or None for layers without
    """

    weight: torch.Tensor
    bias: torch.Tensor | None


def apply_low_rank(
    base: torch.Tensor,
    x: torch.Tensor,
    index: torch.Tensor,
    weights: torch.Tensor,
    experts: LowRankExperts,
) -> torch.Tensor:
    """Add the weighted updates of each text's experts to the base layer's output.

    base: (N, L, O) — the base layer's output
    x: (N, L, I) — its input
    index: (N, K) int64 — experts of each text, >= E for none
    weights: (N, K) float — weights of the experts; the base layer keeps its weight of 1

    Returns (N, L, O) in base's type.
    """
    count = experts.down.shape[0]
    active = index < count  # [N, K]
    if not active.any():
        return base
    down, up = experts.down.to(x.dtype), experts.up.to(x.dtype)
    if _uniform(index, weights):
        expert = int(index[0, 0])
        return base + F.linear(F.linear(x, down[expert]), up[expert])
    texts, chosen = index.shape
    slots = index.clamp(max=count - 1)  # the update of a sentinel gets weight 0
    scale = torch.where(active, weights, weights.new_zeros(())).to(x.dtype)  # [N, K]
    narrow = down[slots].flatten(1, 2)  # [N, K*R, I]
    wide = up[slots] * scale[:, :, None, None]  # [N, K, O, R]
    wide = wide.transpose(2, 3).reshape(texts, chosen * up.shape[2], up.shape[1])  # [N, K*R, O]
    return torch.baddbmm(base, torch.bmm(x, narrow.transpose(1, 2)), wide)


def apply_copies(
    base: torch.Tensor,
    x: torch.Tensor,
    index: torch.Tensor,
    weights: torch.Tensor,
    experts: CopiedExperts,
) -> torch.Tensor:
    """Mix the base layer's output with the outputs of each text's experts, which reduce its weight.

    y = base + Σ_k w_k · (expert_k(x) - base); for the arguments see :func:`apply_low_rank`.
    """
    active = index < experts.weight.shape[0]  # [N, K]
    if not active.any():
        return base
    left = 1 - torch.where(active, weights, weights.new_zeros(())).sum(dim=1)  # [N]
    mixed = base * left.to(base.dtype)[:, None, None]  # bit-identical to base without experts
    for expert in torch.unique(index[active]).tolist():
        texts, slots = (index == expert).nonzero(as_tuple=True)
        bias = None if experts.bias is None else experts.bias[expert].to(x.dtype)
        own = F.linear(x[texts], experts.weight[expert].to(x.dtype), bias)  # [n, L, O]
        share = weights[texts, slots].to(own.dtype)[:, None, None]  # [n, 1, 1]
        mixed = mixed.index_add(0, texts, own * share)
    return mixed


def _uniform(index: torch.Tensor, weights: torch.Tensor) -> bool:
    """Whether all texts have the same one expert at full weight."""
    return index.shape[1] == 1 and bool((index == index[0, 0]).all()) and bool((weights == 1).all())
