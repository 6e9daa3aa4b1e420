"""What some steps of the decoder in torch compute, on the rows of a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from expertrag_kernels.packed import ExpertPart, PlainExperts
from expertrag_kernels.reference import apply_gate
from expertrag_kernels.torch_adapters import add_updates
from expertrag_kernels.torch_rows import TokenRows


def normalise(
    heads: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, epsilon: float
) -> torch.Tensor:
    """Return RMS norms of the last dimension, or layer norms if there is a bias."""
    if bias is None:
        return F.rms_norm(heads, weight.shape, weight, epsilon)
    return F.layer_norm(heads, weight.shape, weight, bias, epsilon)


def rotate(pairs: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, interleaved: bool) -> None:
    """Rotate heads in place.

    :param pairs: (R, heads, 2 W).
    :param cos: (R, 1, W), and ``sin``: of each row's position.
    :param interleaved: a pair is two neighbours, not one value of each half.
    """
    half = cos.shape[-1]
    by_pair, dim = ((half, 2), 3) if interleaved else ((2, half), 2)
    first, second = pairs.float().unflatten(2, by_pair).unbind(dim)
    rotated = first * cos - second * sin, second * cos + first * sin
    pairs.copy_(torch.stack(rotated, dim).flatten(2))


def only_expert(rows: TokenRows, x: torch.Tensor, experts: PlainExperts) -> torch.Tensor:
    """Run rows (R, H) through the only expert of a layer, with the updates of their adapters."""
    gate, up = F.linear(x, experts.gate_up[0]).chunk(2, dim=1)
    add_updates(rows, experts, ExpertPart.GATE, x, gate)
    add_updates(rows, experts, ExpertPart.UP, x, up)
    h = apply_gate(gate, up, experts.activation)
    result = F.linear(h, experts.down[0])
    add_updates(rows, experts, ExpertPart.DOWN, h, result)
    return result
