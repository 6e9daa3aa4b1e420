"""Paged attention in torch; on a GPU with Triton the kernel in ``gpu/attention.py`` is used."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F

from expertrag_kernels.steps import PAGE_TOKENS


class PagedKeys(NamedTuple):
    """The keys and values of a layer, and where the keys and values of each row are.

    keys: (places, H / G, D)
    values: (places, H / G, V)
    tables: (R, M) int32, pages of 64 places
    lengths: (R,) int32, at least 1
    """

    keys: torch.Tensor
    values: torch.Tensor
    tables: torch.Tensor
    lengths: torch.Tensor


class Attention(Protocol):
    """Attention of rows that each have their own pages; see ``gpu.attention.attend_paged``."""

    def __call__(
        self,
        query: torch.Tensor,
        paged: PagedKeys,
        scale: float,
        window: int = 0,
        sinks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return (R, heads, V)."""
        ...


def attention_of(device: torch.device) -> Attention:
    """Choose the implementation of paged attention."""
    if device.type == "cuda" and importlib.util.find_spec("triton"):
        from expertrag_kernels.gpu.attention import attend_paged

        return attend_paged
    return attend_gathered


def attend_gathered(
    query: torch.Tensor,
    paged: PagedKeys,
    scale: float,
    window: int = 0,
    sinks: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute what ``gpu/attention.py`` does in torch, which copies the keys and values."""
    keys, values, tables, lengths = paged
    count = tables.shape[1]
    oldest = torch.clamp(lengths - window, min=0) if window else torch.zeros_like(lengths)
    if window:  # no more pages than a window can touch
        count = min(count, (window + PAGE_TOKENS - 2) // PAGE_TOKENS + 1)
    page = (oldest // PAGE_TOKENS)[:, None] + torch.arange(count, device=query.device)  # (R, M)
    own = tables.long().gather(1, page.clamp(max=tables.shape[1] - 1).long())
    tokens = torch.arange(PAGE_TOKENS, device=query.device)
    places, positions = ((p[:, :, None] * PAGE_TOKENS + tokens).flatten(1) for p in (own, page))
    seen = (positions >= oldest[:, None]) & (positions < lengths[:, None])  # (R, L)
    k, v = (part[places].transpose(1, 2) for part in (keys, values))  # (R, H / G, L, D)
    return _attend(query[:, :, None], k, v, seen[:, None, None], scale, sinks)[:, :, 0]


def attention_of_rows(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    seen: torch.Tensor,
    scale: float,
    sinks: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attend with the rows (N, heads, D) of a sequence over some of it (L, heads, D)."""
    q, k, v = (part.transpose(0, 1)[None] for part in (query, keys, values))
    return _attend(q, k, v, seen[None, None], scale, sinks)[0].transpose(0, 1)


def _attend(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    seen: torch.Tensor,
    scale: float,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """Attend with (B, H, N, D) over (B, H / G, L, D), where ``seen`` (B, 1, N, L) is true.

    A sink becomes one more token, whose score it is and whose value is zero.
    """
    if sinks is None:
        return F.scaled_dot_product_attention(
            query, keys, values, attn_mask=seen, scale=scale, enable_gqa=True
        )
    keys, values = (F.pad(part, (0, 0, 0, 1)) for part in (keys, values))
    batch, heads, rows = query.shape[:3]
    scores = torch.zeros(seen.shape, dtype=query.dtype, device=query.device)
    scores = scores.masked_fill(~seen, -torch.inf).expand(batch, heads, rows, -1)
    sink = sinks.to(query.dtype)[None, :, None, None].expand(batch, heads, rows, 1)
    return F.scaled_dot_product_attention(
        query, keys, values, attn_mask=torch.cat([scores, sink], 3), scale=scale, enable_gqa=True
    )
