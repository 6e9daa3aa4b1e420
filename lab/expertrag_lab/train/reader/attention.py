"""Attention for packed sequences (rows): no group attends to another.

All other layers see a row as one long sequence. Here it is split into its groups. The tokens of a
group's shared prefix attend to each other, a branch's tokens to the prefix and to their own branch.

Legend: S shared tokens, B tokens of all branches
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface

from expertrag_lab.train.reader.rows import Borders

PACKED = "expertrag_packed"
"""Name of this attention in transformers; a forward pass supplies the ``parts`` of its row."""


@dataclass(frozen=True, slots=True)
class Part:
    """Position of a group in its row, and the attention mask of its branches, (B, S + B)."""

    start: int
    fork: int
    end: int
    seen: torch.Tensor

    @classmethod
    def of(cls, borders: Borders) -> Part:
        """Build the mask of a group."""
        fork, end = borders.start + borders.shared, borders.ends[-1]
        seen = torch.zeros(end - fork, end - borders.start, dtype=torch.bool)
        seen[:, : borders.shared] = True
        begin = fork
        for stop in borders.ends:
            size = stop - begin
            own = slice(begin - borders.start, stop - borders.start)
            seen[begin - fork : stop - fork, own] = torch.ones(size, size).tril().bool()
            begin = stop
        return cls(borders.start, fork, end, seen)


def _attend_packed(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    *,
    parts: Sequence[Part],
    scaling: float | None = None,
    **_rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within each group; ``query`` is (1, heads, T, width), the others have fewer heads."""
    groups = query.shape[1] // key.shape[1]
    key, value = (item.repeat_interleave(groups, dim=1) for item in (key, value))
    attend = functional.scaled_dot_product_attention
    outputs = []
    for part in parts:
        q, k, v = (item[:, :, part.start : part.end] for item in (query, key, value))
        size = part.fork - part.start
        if size:
            early = q[:, :, :size], k[:, :, :size], v[:, :, :size]
            outputs.append(attend(*early, is_causal=True, scale=scaling))
        outputs.append(attend(q[:, :, size:], k, v, attn_mask=part.seen, scale=scaling))
    return torch.cat(outputs, dim=2).transpose(1, 2), None


AttentionInterface.register(PACKED, _attend_packed)
