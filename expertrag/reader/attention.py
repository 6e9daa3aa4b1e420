"""Attention over a row of several texts, each of which sees itself alone.

A row is one long sequence for every other layer. Here it is cut at its borders, so that no token
attends to another text, and nothing is computed that a mask would throw away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface

PACKED = "expertrag_packed"
"""Name of this attention in transformers; a forward pass names the ``borders`` of its row."""


def _packed(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    *,
    borders: Sequence[tuple[int, int]],
    scaling: float | None = None,
    **_rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within each text; ``query`` is (1, heads, T, width), the others have fewer heads."""
    groups = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    texts = [[part[:, :, start:end] for part in (query, key, value)] for start, end in borders]
    parts = [
        functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling)
        for q, k, v in texts
    ]
    return torch.cat(parts, dim=2).transpose(1, 2), None


AttentionInterface.register(PACKED, _packed)
