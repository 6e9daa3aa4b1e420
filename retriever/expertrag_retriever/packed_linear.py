"""Linear layers whose weights lie in memory as oneDNN multiplies them.

torch brings a weight into that layout in every call, which costs most where there are few tokens to
multiply it with: for a single query.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class PackedLinear(nn.Module):
    """Computes the same as a linear layer in bfloat16, to the bit; for inference on a CPU."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self._weight = _mkldnn()._reorder_linear_weight(layer.weight.detach())
        self._bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply (..., I) to (..., O)."""
        out: torch.Tensor = _mkldnn()._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return out


def pack_linears(module: nn.Module) -> None:
    """Replace the linear layers in a module that are in bfloat16, where this machine has oneDNN."""
    if not can_pack():
        return
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.Linear and layer.weight.dtype == torch.bfloat16:
                setattr(parent, name, PackedLinear(layer))


def can_pack() -> bool:
    """Whether torch has oneDNN here, and the processor multiplies bfloat16."""
    supported = getattr(_mkldnn(), "_is_mkldnn_bf16_supported", None)
    return torch.backends.mkldnn.is_available() and supported is not None and bool(supported())


def _mkldnn() -> Any:
    return torch.ops.mkldnn
