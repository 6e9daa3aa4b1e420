"""Which neurons of a dense feed-forward network are active for which tokens.

T tokens, H hidden, I neurons
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

ACTIVE_SHARE = 0.3
"""Share of the neurons that counts as active for a token."""


def activations(network: Any, inputs: torch.Tensor) -> torch.Tensor:
    """Return what the neurons give the down projection (T, I), in float32.

    :param network: with ``gate_proj``, ``up_proj`` and ``act_fn``.
    :param inputs: (T, H).
    """
    rows = inputs.float()
    gate = functional.linear(rows, network.gate_proj.weight.float())
    up = functional.linear(rows, network.up_proj.weight.float())
    result: torch.Tensor = network.act_fn(gate) * up
    return result


def active_neurons(given: torch.Tensor, down: torch.Tensor, share: float) -> torch.Tensor:
    """Return which neurons are active (T, I): those that move the residual stream the most.

    CMoE (Pei et al. 2025, arXiv 2502.04416) takes those with the largest absolute activations, of
    normalised weights. Here they are multiplied by the norms of their columns of ``down``, since
    this is how long the vector is that a neuron adds.

    :param given: (T, I) activations.
    :param down: (H, I).
    :param share: of the neurons; at least one.
    """
    moved = given.abs() * down.float().norm(dim=0)
    best = moved.topk(max(1, math.ceil(share * given.shape[1])), dim=1).indices
    return torch.zeros_like(given, dtype=torch.bool).scatter_(1, best, True)
