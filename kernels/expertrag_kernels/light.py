"""Light experts in torch: vectors and a few neurons in place of the experts of least weights.

Compressed Experts (He et al. 2025, arXiv 2503.00634). Of the experts that a router chooses for a
token, the ones with the largest weights compute, as f_i. Each other expert e, of weight w_e, is
replaced by vectors and neurons. The vectors are a scale s_e, a shift b_e and a slope d_e. There are
N neurons n with g_n, u_n and o_n, as in a feed-forward network with SiLU:

    x' = x (1 + sum_e w_e s_e)
    y  = sum_i w_i f_i(x') + sum_e w_e (b_e + d_e x + sum_n silu(g_n x) (u_n x) o_n)

In the paper, three scales with means by w_e / sum w_e multiply what gate and up read, and an
expert's inner values. There are no neurons. Here gate and up read the same x', so that they stay
one matrix; shift, slope and neurons say what e itself would have added. With vectors of zero,
nothing is left of e.

Legend: T tokens, K experts of a token, A light ones among them, E experts, N neurons, H hidden
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

VECTORS = 3
"""Of a light expert: scale, shift and slope. A neuron has as many: of gate, up and down."""


def vectors_of(neurons: int) -> int:
    """Return how many vectors a light expert with so many neurons has."""
    return VECTORS + VECTORS * neurons


def neurons_of(vectors: torch.Tensor) -> int:
    """Return the neurons of each light expert.

    :param vectors: (E, 3 + 3 N, H).
    :raises ValueError: the shape is another.
    """
    if vectors.ndim != 3 or vectors.shape[1] % VECTORS or not vectors.shape[1]:
        raise ValueError(f"{tuple(vectors.shape)} is not a shape of the vectors of light experts")
    return vectors.shape[1] // VECTORS - 1


def by_weight(index: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sort the experts (T, K) of each token by weight, the largest first; equal ones stay."""
    weights, order = weights.sort(dim=1, descending=True, stable=True)
    return index.gather(1, order), weights


def apply_light(
    x: torch.Tensor, index: torch.Tensor, weights: torch.Tensor, vectors: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the other experts read (T, H), in x's type, and what is added (T, H), in float32.

    :param x: (T, H).
    :param index: (T, A) light experts; those from E on are none.
    :param weights: (T, A).
    :param vectors: (E, 3 + 3 N, H) float32, of each expert scale, shift and slope, and g, u and o
        of its neurons.
    """
    experts = len(vectors)
    each = weights.new_zeros(len(x), experts + 1, dtype=torch.float32)  # [T, E + 1]
    each = each.scatter_add(1, index.clamp(max=experts), weights.float())
    each = each[:, :experts]
    own = vectors[:, :VECTORS].flatten(1)
    scale, shift, slope = (each @ own).chunk(VECTORS, dim=1)  # [T, H]
    rows = x.float()
    added = shift + slope * rows
    if neurons := neurons_of(vectors):
        gate, up, down = (part.flatten(0, 1) for part in vectors[:, VECTORS:].chunk(VECTORS, dim=1))
        inner = functional.silu(rows @ gate.T) * (rows @ up.T)  # [T, E N]
        added = added + (inner * each.repeat_interleave(neurons, dim=1)) @ down
    return (rows * (1 + scale)).to(x.dtype), added


def make_light(experts: nn.Module, vectors: Callable[[], torch.Tensor], light: int) -> None:
    """Let an experts module of transformers run with light experts, until ``forward`` is deleted.

    :param vectors: returns them, (E, 3 + 3 N, H).
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
        rows, added = apply_light(hidden_states, index[:, main:], weights[:, main:], vectors())
        output: torch.Tensor = whole(
            rows, index[:, :main].contiguous(), weights[:, :main].contiguous()
        )
        return (output.float() + added).to(output.dtype)

    experts.forward = forward
