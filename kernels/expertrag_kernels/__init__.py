"""Fused forward pass of mixture-of-experts layers.

    T tokens, E experts, K experts per token, H hidden, I inner

``fused_experts`` is the entry for gated feed-forward experts, chosen token by token; ``register``
makes transformers' models use it. ``apply_low_rank`` and ``apply_copies`` serve the experts of
single linear layers, chosen text by text, as the embedder has them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expertrag_kernels.dispatch import fused_experts
    from expertrag_kernels.linear import (
        CopiedExperts,
        LowRankExperts,
        apply_copies,
        apply_low_rank,
    )
    from expertrag_kernels.packed import Activation, PackedExperts
    from expertrag_kernels.transformers import pack, register

__all__ = [
    "Activation",
    "CopiedExperts",
    "LowRankExperts",
    "PackedExperts",
    "apply_copies",
    "apply_low_rank",
    "fused_experts",
    "pack",
    "register",
]

_HOMES = {  # imported on first use, so that importing the package does not load torch
    "Activation": "packed",
    "CopiedExperts": "linear",
    "LowRankExperts": "linear",
    "PackedExperts": "packed",
    "apply_copies": "linear",
    "apply_low_rank": "linear",
    "fused_experts": "dispatch",
    "pack": "transformers",
    "register": "transformers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
