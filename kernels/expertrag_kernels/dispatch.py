"""Entry point: checks the call, then runs the best implementation for it."""

from __future__ import annotations

import importlib.util
import logging

import torch

from expertrag_kernels import (
    cpu_experts as _cpu_experts,  # noqa: F401 - registers itself
)
from expertrag_kernels import (
    reference as _reference,  # noqa: F401 - registers itself
)
from expertrag_kernels.layout import layer_bytes
from expertrag_kernels.packed import Experts, PackedExperts, PlainExperts, ScaledExperts
from expertrag_kernels.registry import choose

_log = logging.getLogger(__name__)

if importlib.util.find_spec("triton") and torch.cuda.is_available():
    try:
        importlib.import_module("expertrag_kernels.gpu.experts")  # registers itself
    except Exception as error:  # a Triton that does not match torch or the driver fails variously
        _log.warning("experts on the GPU run in torch: triton cannot be loaded (%s)", error)


def fused_experts(
    x: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor, experts: Experts
) -> torch.Tensor:
    """Weighted sum of the outputs of each token's chosen experts.

    x: (T, H) float — tokens; T may be 0
    top_k_index: (T, K) int64 — experts of each token; an index >= E is a sentinel (an expert held
        elsewhere): it costs nothing and adds zero
    top_k_weights: (T, K) float — routing weights; may be fp32 with bf16 tokens
    experts: packed, or plain and of x's type; on x's device

    Returns (T, H) in x's type, accumulated in fp32. With the compiled kernels, a row is
    bit-identical alone, in any batch, and with any number of threads. Gradients flow to x and
    top_k_weights, and to the weights of plain experts.

    :raises ValueError: shapes, types or devices do not match, or an index is negative. On a GPU,
        where nothing synchronises with the host, a negative index is a sentinel.
    """
    _check(x, top_k_index, top_k_weights, experts)
    return choose(x, top_k_weights, experts).run(x, top_k_index, top_k_weights, experts)


def _check(
    x: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor, experts: Experts
) -> None:
    if isinstance(experts, PackedExperts):
        _check_packed(x, experts)
    else:
        _check_plain(x, experts)
    hidden = experts.hidden_size
    if x.ndim != 2 or x.shape[1] != hidden:
        raise ValueError(f"x must be (T, H) with H = {hidden}; got {tuple(x.shape)}")
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
    if top_k_index.dtype != torch.int64 or not top_k_weights.is_floating_point():
        raise ValueError(
            "top_k_index must be int64 and top_k_weights floating point; "
            f"got {top_k_index.dtype} and {top_k_weights.dtype}"
        )
    devices = {x.device, top_k_index.device, top_k_weights.device, experts.device}
    if len(devices) > 1:
        raise ValueError(
            f"x, top_k_index, top_k_weights and the experts are on {x.device}, "
            f"{top_k_index.device}, {top_k_weights.device} and {experts.device}; use one device"
        )


def _check_plain(x: torch.Tensor, experts: PlainExperts | ScaledExperts) -> None:
    experts.check()
    if not x.is_floating_point():
        raise ValueError(f"x must be floating point; got {x.dtype}")
    if isinstance(experts, PlainExperts) and x.dtype != experts.down.dtype:
        raise ValueError(
            f"x and the experts must have the same dtype; got {x.dtype} and {experts.down.dtype}"
        )


def _check_packed(x: torch.Tensor, experts: PackedExperts) -> None:
    if not x.is_floating_point():
        raise ValueError(f"x must be floating point; got {x.dtype}")
    data = experts.data
    sizes = experts.num_experts, experts.hidden_size, experts.inner_size
    size = layer_bytes(experts.format, *sizes, biased=experts.biased)
    if data.dtype != torch.uint8 or data.shape != (size,) or not data.is_contiguous():
        raise ValueError(
            f"packed experts must be {size} contiguous bytes; got {data.dtype} {tuple(data.shape)}"
        )
    if data.data_ptr() % 64:
        raise ValueError("packed experts must be aligned to 64 bytes; clone them")
