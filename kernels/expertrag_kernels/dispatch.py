"""The entry: check the call, then run the best implementation for it."""

from __future__ import annotations

import torch

from expertrag_kernels import reference as _reference  # noqa: F401 - registers itself
from expertrag_kernels.packed import PackedExperts
from expertrag_kernels.registry import choose


def fused_experts(
    x: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor, packed: PackedExperts
) -> torch.Tensor:
    """Weighted sum of the outputs of each token's chosen experts.

    x: (T, H) float — tokens; T may be 0
    top_k_index: (T, K) int64 — experts of each token; an index >= E is a sentinel (an expert held
        elsewhere): it costs nothing and adds zero
    top_k_weights: (T, K) float — routing weights; may be fp32 beside bf16 tokens
    packed: the experts, of x's type and device

    Returns (T, H) in x's type, accumulated in fp32.

    :raises ValueError: if shapes, types or devices do not fit together, or an index is negative.
    """
    _check(x, top_k_index, top_k_weights, packed)
    return choose(x, packed).run(x, top_k_index, top_k_weights, packed)


def _check(
    x: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor, packed: PackedExperts
) -> None:
    gate_up, down = packed.gate_up, packed.down
    if down.ndim != 3 or gate_up.shape != (down.shape[0], 2 * down.shape[2], down.shape[1]):
        raise ValueError(
            "gate_up must be (E, 2I, H) and down (E, H, I); "
            f"got {tuple(gate_up.shape)} and {tuple(down.shape)}"
        )
    if x.ndim != 2 or x.shape[1] != down.shape[1]:
        raise ValueError(f"x must be (T, H) with H = {down.shape[1]}; got {tuple(x.shape)}")
    tokens = x.shape[0]
    if top_k_index.ndim != 2 or top_k_index.shape[0] != tokens or top_k_index.shape[1] == 0:
        raise ValueError(
            f"top_k_index must be (T, K) with T = {tokens}, K >= 1; got {tuple(top_k_index.shape)}"
        )
    if top_k_weights.shape != top_k_index.shape:
        raise ValueError(
            f"top_k_weights must be shaped like top_k_index {tuple(top_k_index.shape)}; "
            f"got {tuple(top_k_weights.shape)}"
        )
    _check_types(x, top_k_index, top_k_weights, packed)


def _check_types(
    x: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor, packed: PackedExperts
) -> None:
    if top_k_index.dtype != torch.int64 or not top_k_weights.is_floating_point():
        raise ValueError(
            "top_k_index must be int64 and top_k_weights floating point; "
            f"got {top_k_index.dtype} and {top_k_weights.dtype}"
        )
    if not x.dtype == packed.gate_up.dtype == packed.down.dtype:
        raise ValueError(
            "x, gate_up and down must have one type; "
            f"got {x.dtype}, {packed.gate_up.dtype} and {packed.down.dtype}"
        )
    if x.device != packed.down.device:
        raise ValueError(f"x is on {x.device} but the experts are on {packed.down.device}")
