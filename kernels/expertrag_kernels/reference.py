"""The experts in plain torch: runs on every machine, and is the reference for all other paths.

The K outputs of a token are summed in fp32, whatever the type of the weights. Of packed experts,
only those that a call uses are unpacked.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from expertrag_kernels.layout import unpack
from expertrag_kernels.packed import Activation, Experts, PlainExperts, ScaledExperts
from expertrag_kernels.registry import implementation


def _gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")


_ACTIVATIONS: dict[Activation, Callable[[torch.Tensor], torch.Tensor]] = {
    Activation.SILU: F.silu,
    Activation.GELU: F.gelu,
    Activation.GELU_TANH: _gelu_tanh,
    Activation.RELU: F.relu,
}


@implementation("reference", priority=0, supports=lambda x, weights, experts: True)
def reference_experts(
    x: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor, experts: Experts
) -> torch.Tensor:
    """Compute :func:`expertrag_kernels.fused_experts` without its checks."""
    if isinstance(experts, PlainExperts):
        return _plain(x, top_k_index, top_k_weights, experts)
    if isinstance(experts, ScaledExperts):
        return _plain(x, top_k_index, top_k_weights, experts.plain(x.dtype))
    if top_k_index.numel():
        _refuse_negative(int(top_k_index.min()))
    used = torch.unique(top_k_index[top_k_index < experts.num_experts])
    plain = unpack(experts, used.tolist())
    place = torch.full((experts.num_experts + 1,), used.numel())  # of each expert among the used
    place[used] = torch.arange(used.numel())
    plain = plain.to(plain.device, torch.float32)
    index = place[top_k_index.clamp(max=experts.num_experts)]
    return _plain(x.float(), index, top_k_weights, plain).to(x.dtype)


def _plain(
    x: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor, plain: PlainExperts
) -> torch.Tensor:
    if x.shape[0] == 1 and not top_k_weights.requires_grad:
        return _one_token(x, top_k_index, top_k_weights, plain)
    return _run_grouped(x, top_k_index, top_k_weights, plain)


def apply_gate(gate: torch.Tensor, up: torch.Tensor, activation: Activation) -> torch.Tensor:
    """Join gate and up by an expert's activation."""
    if activation is Activation.CLAMPED_SWIGLU:
        gate, up = gate.clamp(max=7.0), up.clamp(-7.0, 7.0)
        return gate * torch.sigmoid(1.702 * gate) * (up + 1)
    return _ACTIVATIONS[activation](gate) * up


def apply_expert(x: torch.Tensor, expert: int, plain: PlainExperts) -> torch.Tensor:
    """Apply one expert to x (N, H). Indexing by an int gives a view: no weight is copied."""
    own = plain.gate_up[expert], plain.down[expert]
    biases: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)
    if plain.gate_up_bias is not None and plain.down_bias is not None:
        biases = plain.gate_up_bias[expert].to(x.dtype), plain.down_bias[expert].to(x.dtype)
    gate, up = F.linear(x, own[0], biases[0]).chunk(2, dim=-1)  # [N, I] each
    return F.linear(apply_gate(gate, up, plain.activation), own[1], biases[1])  # [N, H]


def _one_token(
    x: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor, plain: PlainExperts
) -> torch.Tensor:
    """Run one token (a decode step), where sorting and gathering would cost more than it saves."""
    experts: list[int] = top_k_index[0].tolist()
    _refuse_negative(min(experts))
    weights: list[float] = top_k_weights[0].tolist()
    chosen = [pair for pair in zip(experts, weights, strict=True) if pair[0] < plain.num_experts]
    if not chosen:
        return torch.zeros_like(x)
    if len(chosen) == 1:
        [(expert, weight)] = chosen
        return apply_expert(x, expert, plain) * weight
    total = torch.zeros(x.shape, dtype=torch.float32, device=x.device)  # [1, H]
    for expert, weight in chosen:
        total.add_(apply_expert(x, expert, plain), alpha=weight)
    return total.to(x.dtype)


def _run_grouped(
    x: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor, plain: PlainExperts
) -> torch.Tensor:
    """Sort the (token, expert) pairs once, so that each expert gets its rows as one matrix."""
    experts, experts_per_token = plain.num_experts, top_k_index.shape[1]
    total = torch.zeros(x.shape, dtype=torch.float32, device=x.device)  # [T, H]
    if top_k_index.numel() == 0:
        return total.to(x.dtype)
    pairs, order = top_k_index.flatten().sort(stable=True)  # [T*K]
    _refuse_negative(int(pairs[0]))
    token = order // experts_per_token  # [T*K]
    weight = top_k_weights.flatten()[order].float().unsqueeze(-1)  # [T*K, 1]
    # Sentinels sort last: the loop ends before it reaches them, so they cost nothing.
    stops: list[int] = torch.searchsorted(
        pairs, torch.arange(experts, device=x.device), right=True
    ).tolist()
    start = 0
    for expert, stop in enumerate(stops):
        if stop > start:
            rows = token[start:stop]
            output = apply_expert(x[rows], expert, plain).float() * weight[start:stop]
            total.index_add_(0, rows, output)
        start = stop
    return total.to(x.dtype)


def _refuse_negative(lowest: int) -> None:
    if lowest < 0:
        raise ValueError(f"top_k_index must not be negative; got {lowest}")
