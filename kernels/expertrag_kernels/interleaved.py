"""The experts of gpt-oss: transposed weights, gate and up in turn, biases, and a clamped SwiGLU."""

from __future__ import annotations

import torch
from torch import nn

from expertrag_kernels.packed import Activation, Mxfp4Experts, PlainExperts

_WEIGHTS = "gate_up_proj", "gate_up_proj_bias", "down_proj", "down_proj_bias"
_ALPHA, _LIMIT = 1.702, 7.0  # of Activation.CLAMPED_SWIGLU


def holds_interleaved(module: nn.Module) -> bool:
    """Whether a module is transformers' experts of gpt-oss."""
    return type(module).__name__ == "GptOssExperts"


def read_interleaved(module: nn.Module) -> PlainExperts:
    """Return the weights of the experts of gpt-oss; gate and up are copied, down is a view.

    :raises ValueError: their activation is another one.
    """
    _check_activation(module)
    gate_up, gate_up_bias, down, down_bias = (_weight(module, name) for name in _WEIGHTS)
    return PlainExperts(
        _apart(gate_up.transpose(1, 2)),
        down.transpose(1, 2),
        Activation.CLAMPED_SWIGLU,
        _apart(gate_up_bias),
        down_bias,
    )


def mxfp4_experts(module: nn.Module) -> Mxfp4Experts | None:
    """Return the experts of gpt-oss whose weights are blocks of MXFP4; None if they are numbers.

    Blocks are (E, O, I/32, 17) uint8, with gate and up in turn, which are copied.

    :raises ValueError: their activation is another one.
    """
    if not holds_interleaved(module) or _weight(module, _WEIGHTS[0]).dtype != torch.uint8:
        return None
    _check_activation(module)
    gate_up, gate_up_bias, down, down_bias = (_weight(module, name) for name in _WEIGHTS)
    return Mxfp4Experts(
        _apart(gate_up), down, Activation.CLAMPED_SWIGLU, _apart(gate_up_bias), down_bias
    )


def _check_activation(module: nn.Module) -> None:
    alpha, limit = (float(getattr(module, name)) for name in ("alpha", "limit"))
    if (alpha, limit) != (_ALPHA, _LIMIT):
        raise ValueError(
            f"{type(module).__name__} cannot be packed: a clamped SwiGLU of {alpha} and {limit}; "
            f"only {_ALPHA} and {_LIMIT} are known"
        )


def _weight(module: nn.Module, name: str) -> torch.Tensor:
    weight = getattr(module, name)
    assert isinstance(weight, torch.Tensor), "they are parameters"
    return weight


def _apart(rows: torch.Tensor) -> torch.Tensor:
    """Put the rows (E, 2I, ...) of gate before the rows of up."""
    return torch.cat([rows[:, ::2], rows[:, 1::2]], dim=1)
