"""Tiny random mixtures with light experts."""

from __future__ import annotations

from typing import Any

import torch
from made_mixtures import SIZES, mixture_of

from expertrag_kernels import light
from expertrag_lab.surgery.changes.compress_light import lit
from expertrag_lab.surgery.mixture import Mixture

NEURONS = 2
FAMILIES = tuple(SIZES)


def whole_of(family: str) -> Mixture:
    """A random mixture whose tokens choose four experts; of Phi-MoE, two."""
    chosen = {} if family == "phimoe" else {"num_experts_per_tok": 4}
    return mixture_of(family, **{**SIZES[family], **chosen})


def vectors_of(mixture: Mixture, scale: float = 0.5) -> list[torch.Tensor]:
    """Random vectors of each layer."""
    generator = torch.Generator().manual_seed(11)
    experts, hidden = mixture.num_experts - mixture.null_experts, mixture.model.config.hidden_size
    return [
        torch.randn(experts, light.vectors_of(NEURONS), hidden, generator=generator) * scale
        for _ in mixture.layers
    ]


def light_of(mixture: Mixture, scale: float = 0.5, count: int | None = None) -> Mixture:
    """The mixture with half of a token's experts light, with random vectors."""
    count = mixture.top_k // 2 if count is None else count
    return lit(mixture, vectors_of(mixture, scale), count, "0123456789abcdef", ["any"])


def layer_outputs(mixture: Mixture, rows: torch.Tensor) -> list[Any]:
    """What the experts of each layer, shared ones included, make of rows (T, H)."""
    found = []
    with torch.inference_mode():
        for layer in mixture.layers:
            block: Any = layer.block
            output = block(rows[None])
            found.append((output[0] if isinstance(output, tuple) else output)[0])
    return found
