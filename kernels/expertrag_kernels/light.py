"""Light experts in torch: vectors in place of the chosen experts of the least weights.

Compressed Experts (He et al. 2025, arXiv 2503.00634). Of the experts that a router chooses for a
token, those of the largest weights compute, as f_i. Each other one, e, of weight w_e, is replaced
by three vectors: a scale s_e, a shift b_e, and a slope d_e:

    x' = x (1 + sum_e w_e s_e)
    y  = sum_i w_i f_i(x') + sum_e w_e (b_e + d_e x)

In the paper, three scales with means by w_e / sum w_e multiply what gate and up read, and an
expert's inner values. Here gate and up read the same x', so that they stay one matrix; shift and
slope say what e itself would have added. With vectors of zero, nothing is left of e.

Legend: T tokens, K experts of a token, A light ones among them, E experts, H hidden
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

VECTORS = 3
"""Of a light expert: scale, shift and slope."""


def by_weight(index: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sort the experts (T, K) of each token by weight, the largest first; equal ones stay."""
    weights, order = weights.sort(dim=1, descending=True, stable=True)
    return index.gather(1, order), weights


def lightened(
    x: torch.Tensor, index: torch.Tensor, weights: torch.Tensor, vectors: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the other experts read (T, H), in x's type, and what is added (T, H), in float32.

    :param x: (T, H).
    :param index: (T, A) light experts; those from E on are none.
    :param weights: (T, A).
    :param vectors: (E, 3, H) float32, of each expert scale, shift and slope.
    """
    experts = len(vectors)
    each = weights.new_zeros(len(x), experts + 1, dtype=torch.float32)  # [T, E + 1]
    each = each.scatter_add(1, index.clamp(max=experts), weights.float())
    scale, shift, slope = (each[:, :experts] @ vectors.flatten(1)).chunk(VECTORS, dim=1)  # [T, H]
    rows = x.float()
    return (rows * (1 + scale)).to(x.dtype), shift + slope * rows


def make_light(experts: nn.Module, vectors: Callable[[], torch.Tensor], light: int) -> None:
    """Let an experts module of transformers run with light experts, until ``forward`` is deleted.

    :param vectors: returns them, (E, 3, H).
    :param light: how many of a token's experts are light.
    """
    whole: Any = experts.forward

    def forward(
        hidden_states: torch.Tensor,  # [T, H]
        top_k_index: torch.Tensor,  # [T, K]
        top_k_weights: torch.Tensor,  # [T, K]
    ) -> torch.Tensor:  # [T, H]
        index, weights = by_weight(top_k_index, top_k_weights)
        main = max(1, index.shape[1] - light)
        rows, added = lightened(hidden_states, index[:, main:], weights[:, main:], vectors())
        output: torch.Tensor = whole(
            rows, index[:, :main].contiguous(), weights[:, :main].contiguous()
        )
        return (output.float() + added).to(output.dtype)

    experts.forward = forward
