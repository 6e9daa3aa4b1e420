"""Experts as neurons, whose order means nothing: to align two experts, and to average them.

A neuron is its row of gate, its row of up, its column of down, and its biases: F numbers. I neurons
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

_GATE_UP, _DOWN = "experts.gate_up_proj", "experts.down_proj"
_BIAS = "experts.gate_up_proj_bias"
DOWN_BIAS = "experts.down_proj_bias"
"""A bias of the output, which belongs to no neuron."""


@dataclass(frozen=True, slots=True)
class NeuronLayout:
    """Where a family keeps its neurons.

    :param transposed: gate and up are (E, H, 2I), down is (E, I, H), as in gpt-oss; otherwise
        (E, 2I, H) and (E, H, I).
    :param interleaved: rows of gate and up take turns; otherwise all of gate are first.
    """

    transposed: bool
    interleaved: bool

    @classmethod
    def of(cls, experts: nn.Module) -> NeuronLayout:
        """Read the flags of a module of transformers."""
        return cls(bool(experts.is_transposed), not experts.is_concatenated)

    def read(self, weights: Mapping[str, torch.Tensor], expert: int) -> torch.Tensor:
        """Return the neurons of an expert (I, F) in float32."""
        gate_up, down = (weights[name][expert].float() for name in (_GATE_UP, _DOWN))
        if self.transposed:
            gate_up = gate_up.T
        else:
            down = down.T
        if _BIAS in weights:
            gate_up = torch.cat([gate_up, weights[_BIAS][expert].float()[:, None]], dim=1)
        gate, up = (gate_up[::2], gate_up[1::2]) if self.interleaved else gate_up.chunk(2)
        return torch.cat([gate, up, down], dim=1)

    def write(
        self, weights: Mapping[str, torch.Tensor], expert: int, neurons: torch.Tensor
    ) -> None:
        """Replace the neurons of an expert, in place."""
        hidden = weights[_GATE_UP].shape[1 if self.transposed else 2]
        wide = hidden + (_BIAS in weights)
        gate, up, down = neurons.split([wide, wide, hidden], dim=1)
        joined = torch.stack([gate, up], dim=1).flatten(0, 1)
        gate_up = joined if self.interleaved else torch.cat([gate, up])
        if _BIAS in weights:
            weights[_BIAS][expert].copy_(gate_up[:, hidden])
            gate_up = gate_up[:, :hidden]
        weights[_GATE_UP][expert].copy_(gate_up.T if self.transposed else gate_up)
        weights[_DOWN][expert].copy_(down if self.transposed else down.T)


def alignment(target: torch.Tensor, neurons: torch.Tensor) -> torch.Tensor:
    """Return the order (I,) in which an expert's neurons are most like another's.

    It maximises the sum of the inner products of the paired neurons (weight matching, Ainsworth et
    al. 2023, "Git Re-Basin"). An expert has one hidden layer, for which the assignment is exact.

    :param target: (I, F) neurons of the other expert, whose order stays.
    :param neurons: (I, F).
    """
    _, order = linear_sum_assignment((target @ neurons.T).numpy(), maximize=True)
    return torch.from_numpy(order)
