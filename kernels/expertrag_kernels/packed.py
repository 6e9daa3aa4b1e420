"""The weights of one layer's experts, in the layout that the implementations read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch


class Activation(StrEnum):
    """What is applied to the gate half before it multiplies the up half."""

    SILU = "silu"
    GELU = "gelu"
    GELU_TANH = "gelu_tanh"
    RELU = "relu"


@dataclass(frozen=True, slots=True)
class PackedExperts:
    """Experts of one layer: y = down @ (activation(gate @ x) * (up @ x)), without biases.

    gate_up: (E, 2I, H) — gate in the first I rows, up in the last I
    down: (E, H, I)
    """

    gate_up: torch.Tensor
    down: torch.Tensor
    activation: Activation = Activation.SILU

    @property
    def num_experts(self) -> int:
        """E, the number of experts held here."""
        return self.down.shape[0]

    @property
    def hidden_size(self) -> int:
        """H, the width of a token."""
        return self.down.shape[1]
