"""Fused forward pass of mixture-of-experts layers.

    T tokens, E experts, K experts per token, H hidden, I inner

``fused_experts`` is the one entry; ``register`` makes transformers' models use it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expertrag_kernels.dispatch import fused_experts
    from expertrag_kernels.packed import Activation, PackedExperts
    from expertrag_kernels.transformers import pack, register

__all__ = ["Activation", "PackedExperts", "fused_experts", "pack", "register"]

_HOMES = {  # imported on first use, so that importing the package does not load torch
    "Activation": "packed",
    "PackedExperts": "packed",
    "fused_experts": "dispatch",
    "pack": "transformers",
    "register": "transformers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
