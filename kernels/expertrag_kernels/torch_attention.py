"""Paged attention in torch; on a GPU with Triton the kernel in ``gpu/attention.py`` is used."""

from __future__ import annotations

import importlib.util
from typing import Protocol

import torch
import torch.nn.functional as F

from expertrag_kernels.steps import PAGE_TOKENS


class Attention(Protocol):
    """Attention of rows that each have their own pages; see ``gpu.attention.paged_attention``."""

    def __call__(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        tables: torch.Tensor,
        lengths: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        """Return (R, heads, V)."""
        ...


def attention_of(device: torch.device) -> Attention:
    """Choose the implementation of paged attention."""
    if device.type == "cuda" and importlib.util.find_spec("triton"):
        from expertrag_kernels.gpu.attention import paged_attention

        return paged_attention
    return gathered_attention


def gathered_attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    tables: torch.Tensor,
    lengths: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """Compute what ``gpu/attention.py`` does in torch, which copies the keys and values."""
    tokens = torch.arange(PAGE_TOKENS, device=query.device)
    places = (tables.long()[:, :, None] * PAGE_TOKENS + tokens).flatten(1)  # (R, L)
    seen = torch.arange(places.shape[1], device=query.device) < lengths[:, None]
    k, v = (part[places].transpose(1, 2) for part in (keys, values))  # (R, H / G, L, D)
    found = F.scaled_dot_product_attention(
        query[:, :, None], k, v, attn_mask=seen[:, None, None], scale=scale, enable_gqa=True
    )
    return found[:, :, 0]


def attention_of_rows(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    seen: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """Attend with the rows (N, heads, D) of a sequence over all of it (L, heads, D)."""
    q, k, v = (part.transpose(0, 1)[None] for part in (query, keys, values))
    found = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale, enable_gqa=True)
    return found[0].transpose(0, 1)
