"""Low-rank updates (LoRA, Hu et al. 2022) of a model's projections, and the weights they update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from expertrag_kernels.packed import ExpertPart, WeightUpdate
from expertrag_kernels.steps import CacheShape

_WHOLE = {
    "self_attn.o_proj": "out",
    "self_attn.q_proj": "query",
    "self_attn.q_a_proj": "query_a",
    "self_attn.q_b_proj": "query_b",
    "self_attn.kv_a_proj_with_mqa": "latent",
    "self_attn.kv_b_proj": "expand",
}
"""Projections that are a matrix of their own, by the name of its weights in ``Lowered.weights``."""
_PARTS = {
    "mlp.gate_proj": ExpertPart.GATE,
    "mlp.up_proj": ExpertPart.UP,
    "mlp.down_proj": ExpertPart.DOWN,
}


class Projection(NamedTuple):
    """A linear layer of a decoder layer, such as ``self_attn.q_proj`` of layer 3."""

    layer: int
    module: str

    def __str__(self) -> str:
        return f"layers.{self.layer}.{self.module}"


class LoraWeights(NamedTuple):
    """down (R, I) is A; up (O, R) is B times the adapter's scale."""

    down: torch.Tensor
    up: torch.Tensor


class Target(NamedTuple):
    """Weights, or the outputs of them from ``start`` on, that belong to one projection."""

    weights: Any
    outputs: int
    inputs: int
    start: int = 0
    part: ExpertPart | None = None

    def update(self, lora: LoraWeights) -> WeightUpdate:
        """Return an update of these weights."""
        return WeightUpdate(self.weights, lora.down, lora.up, self.start, self.part)


def target_of(
    projection: Projection, weights: Mapping[str, Any], shape: CacheShape
) -> Target | None:
    """Return what a projection is a part of; None if the model has none of this name.

    :param weights: of the decoder, by name; see ``Lowered``.
    :param shape: of the decoder's cache.
    """
    at, module = f"layers.{projection.layer}.", projection.module
    if module in _PARTS:
        return _of_dense(weights.get(f"{at}dense"), _PARTS[module])
    joined = weights.get(f"{at}qkv")
    if joined is not None and module in (ranges := _ranges(shape, joined)):
        start, outputs = ranges[module]
        return Target(joined, outputs, _sizes(joined)[1], start)
    whole = weights.get(f"{at}{_WHOLE.get(module)}")
    return None if whole is None else Target(whole, *_sizes(whole))


def _of_dense(dense: Any, part: ExpertPart) -> Target | None:
    """Return a part of a dense layer; None for a mixture."""
    if dense is None:
        return None
    hidden, inner = dense.hidden_size, dense.inner_size
    sizes = (hidden, inner) if part is ExpertPart.DOWN else (inner, hidden)
    return Target(dense, *sizes, part=part)


def _ranges(shape: CacheShape, joined: Any) -> dict[str, tuple[int, int]]:
    """Return the first output and the outputs of each projection of a joined matrix."""
    keys, values = shape.heads * shape.own_width, shape.heads * shape.value_width
    queries = _sizes(joined)[0] - keys - values
    return {
        "self_attn.q_proj": (0, queries),
        "self_attn.k_proj": (queries, keys),
        "self_attn.v_proj": (queries + keys, values),
    }


def _sizes(matrix: Any) -> tuple[int, int]:
    """Return outputs and inputs of a matrix, packed or not."""
    if isinstance(matrix, torch.Tensor):
        return matrix.shape[0], matrix.shape[1]
    return matrix.outputs, matrix.inputs
