"""Experts of a layer as a low-rank part and whole neurons, and the steps that compute them.

    y = write @ sum_e w_e E_e(read @ x) + sum_e w_e F_e(x)

E_e are experts of width r; F_e have the neurons that r numbers describe worst. The two bases are
multiplied once per token, however many experts it uses.

E experts, H hidden, r rank, L neurons of low rank, N whole ones
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import nn

from expertrag_kernels import PlainExperts

_ATTRIBUTE = "low_rank_experts"


@dataclass(frozen=True, slots=True)
class LowRankLayer:
    """The experts of a layer; null experts of the router are not among them.

    :param read: (r, H) input basis.
    :param gate_up: (E, 2L, r) gate in the first L rows, up in the last L.
    :param down: (E, r, L)
    :param write: (H, r) output basis.
    :param whole_gate_up: (E, 2N, H) of the neurons that stay as they are.
    :param whole_down: (E, H, N)
    """

    read: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor
    write: torch.Tensor
    whole_gate_up: torch.Tensor
    whole_down: torch.Tensor

    @property
    def rank(self) -> int:
        """Width of the bases."""
        return self.read.shape[0]

    @property
    def whole_neurons(self) -> int:
        """Neurons of an expert that stay as they are."""
        return self.whole_down.shape[2]

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """All of them."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def to(self, dtype: torch.dtype) -> LowRankLayer:
        """Return the experts in another data type."""
        return LowRankLayer(*(tensor.to(dtype) for tensor in self.tensors))

    def multiply_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return plain weights in float32, whole neurons first: (E, 2(N + L), H), (E, H, N + L)."""
        narrow = self.gate_up.float() @ self.read.float()
        pairs = zip(self.whole_gate_up.float().chunk(2, 1), narrow.chunk(2, 1), strict=True)
        gate_up = torch.cat([half for pair in pairs for half in pair], dim=1)
        down = self.write.float() @ self.down.float()
        return gate_up, torch.cat([self.whole_down.float(), down], dim=2)

    def check(self, plain: PlainExperts) -> None:
        """Check that the shapes fit the experts that these stand for.

        :raises ValueError: they do not.
        """
        experts, hidden, inner = plain.num_experts, plain.hidden_size, plain.inner_size
        rank, whole = self.rank, self.whole_neurons
        narrow = inner - whole
        wanted = {
            "read": (rank, hidden),
            "gate_up": (experts, 2 * narrow, rank),
            "down": (experts, rank, narrow),
            "write": (hidden, rank),
            "whole_gate_up": (experts, 2 * whole, hidden),
            "whole_down": (experts, hidden, whole),
        }
        for name, shape in wanted.items():
            if (own := tuple(getattr(self, name).shape)) != shape:
                raise ValueError(f"{name} is {own}, expected {shape}")


def low_rank_of(module: nn.Module) -> LowRankLayer | None:
    """Return what a module of experts in transformers was compressed to, if it was."""
    experts: LowRankLayer | None = getattr(module, _ATTRIBUTE, None)
    return experts


def set_low_rank(module: nn.Module, experts: LowRankLayer) -> None:
    """Note what a module of experts was compressed to; its own weights are the products."""
    setattr(module, _ATTRIBUTE, experts)
