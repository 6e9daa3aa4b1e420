"""Fused forward pass of mixture-of-experts layers.

    T tokens, E experts, K experts per token, H hidden, I inner

``fused_experts`` is the entry point for gated feed-forward experts, chosen per token; ``pack``
converts their weights to the layout of the compiled kernels. ``register`` makes transformers'
models use it, and ``pack_model`` packs such a model. ``apply_low_rank`` and ``apply_copies`` serve
experts of single linear layers, chosen per text, as in the embedder; ``encoder`` runs a whole BERT
encoder with them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expertrag_kernels.dispatch import fused_experts
    from expertrag_kernels.files import Packed, load_packed, save_packed, verify_packed
    from expertrag_kernels.layout import unpack
    from expertrag_kernels.linear import (
        CopiedExperts,
        LowRankExperts,
        apply_copies,
        apply_low_rank,
    )
    from expertrag_kernels.packed import (
        Activation,
        Experts,
        Format,
        Mxfp4Experts,
        PackedExperts,
        PackedMatrix,
        PlainExperts,
        ScaledExperts,
    )
    from expertrag_kernels.routing import Routing
    from expertrag_kernels.transformers import pack, pack_model, register, unpack_model

__all__ = [
    "Activation",
    "CopiedExperts",
    "Experts",
    "Format",
    "LowRankExperts",
    "Mxfp4Experts",
    "Packed",
    "PackedExperts",
    "PackedMatrix",
    "PlainExperts",
    "Routing",
    "ScaledExperts",
    "apply_copies",
    "apply_low_rank",
    "fused_experts",
    "load_packed",
    "pack",
    "pack_model",
    "register",
    "save_packed",
    "unpack",
    "unpack_model",
    "verify_packed",
]

_HOMES = {  # imported on first use, so that importing the package does not load torch
    "Activation": "packed",
    "CopiedExperts": "linear",
    "Experts": "packed",
    "Format": "packed",
    "LowRankExperts": "linear",
    "Mxfp4Experts": "packed",
    "Packed": "files",
    "PackedExperts": "packed",
    "PackedMatrix": "packed",
    "PlainExperts": "packed",
    "Routing": "routing",
    "ScaledExperts": "packed",
    "apply_copies": "linear",
    "apply_low_rank": "linear",
    "fused_experts": "dispatch",
    "load_packed": "files",
    "pack": "transformers",
    "pack_model": "transformers",
    "register": "transformers",
    "save_packed": "files",
    "unpack_model": "transformers",
    "unpack": "layout",
    "verify_packed": "files",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
