"""Averages experts into one low-rank update, and merges updates into the base model's weights.

E experts, R rank, I in, O out
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from expertrag_retriever.experts.linear import ExpertLinear
from expertrag_retriever.experts.settings import ExpertForm

if TYPE_CHECKING:
    from torch import nn


def mean_update(
    layer: ExpertLinear, experts: Sequence[int], rank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rank-R approximation of the mean update of some experts of a layer.

    Returns down (R, I) with orthonormal rows and up (O, R): directions that no expert uses have
    an ``up`` of 0 and can still learn. The biases of copied experts are left out.
    """
    chosen = list(experts)
    if layer.form is ExpertForm.LOW_RANK:
        up, down = layer.second.detach()[chosen].float(), layer.first.detach()[chosen].float()
        mean = torch.einsum("eor,eri->oi", up, down) / len(chosen)  # [O, I]
    else:
        mean = layer.first.detach()[chosen].float().mean(dim=0) - layer.base.weight.float()
    left, scale, right = torch.linalg.svd(mean, full_matrices=False)
    rank = min(rank, len(scale))
    return right[:rank].contiguous(), (left[:, :rank] * scale[:rank]).contiguous()


def merge(model: nn.Module, updates: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Add updates, down (R, I) and up (O, R), to the weights of the linear layers by name."""
    for name, (down, up) in updates.items():
        weight = model.get_submodule(name).weight
        assert isinstance(weight, torch.Tensor), "a linear layer"
        update = (up.float() @ down.float()).to(weight.device)  # [O, I]
        weight.data = (weight.data.float() + update).to(weight.dtype)
