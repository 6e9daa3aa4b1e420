"""Attention of single rows over the pages of their sequences, in Triton (flash decoding, Dao 2023).

    R rows, H heads, G of them share a key, D width of a key, V width of a value

Each program reads some of a row's pages for the heads that share a key. The parts of a row are then
combined by their sums. Only what the programs read depends on the lengths, so that one captured
graph serves all sequences.
"""

from __future__ import annotations

from typing import Any

import torch
import triton

from expertrag_kernels.gpu import attention_kernels
from expertrag_kernels.steps import PAGE_TOKENS
from expertrag_kernels.torch_attention import PagedKeys

_PARTS = 8  # programs per row and key head, so that a single sequence occupies the GPU
_ALL = 2**31 - 1  # positions of a window that holds all
_LEAST = 16  # least rows and columns of a tile product


def attend_paged(
    query: torch.Tensor,
    paged: PagedKeys,
    scale: float,
    window: int = 0,
    sinks: torch.Tensor | None = None,
    *,
    upcast: bool = False,
) -> torch.Tensor:
    """Attend with each row over the first tokens of its pages.

    query: (R, H, D)

    :param window: how many of the last tokens a row attends to; 0 for all. No earlier page is read.
    :param sinks: (H,) float32, terms of the softmax's sum without a value.
    :param upcast: multiply in float32, for the interpreter.
    :returns: (R, H, V) in the query's type.
    """
    keys, values, tables, lengths = paged
    rows, heads, width = query.shape
    groups, value_width = values.shape[1:]
    averages = torch.empty(
        rows, heads, _PARTS, value_width, dtype=torch.float32, device=query.device
    )
    sums = torch.empty(rows, heads, _PARTS, dtype=torch.float32, device=query.device)
    kernel: Any = attention_kernels.attend_parts
    kernel[(rows, groups, _PARTS)](
        query, keys, values, tables, lengths, averages, sums,
        query.stride(0), query.stride(1), tables.stride(0), heads, groups, width, value_width,
        scale, window or _ALL,
        PAGE=PAGE_TOKENS,
        PARTS=_PARTS,
        SHARING=max(_LEAST, triton.next_power_of_2(heads // groups)),
        WIDTH=max(_LEAST, triton.next_power_of_2(width)),
        VALUE_WIDTH=max(_LEAST, triton.next_power_of_2(value_width)),
        UPCAST=upcast,
    )  # fmt: skip
    if sinks is not None:  # one more part, without a value
        sums = torch.cat([sums, sinks[None, :, None].expand(rows, heads, 1)], 2)
    shares = sums.softmax(2)[:, :, :_PARTS]
    joined: torch.Tensor = (averages * shares[..., None]).sum(2)
    return joined.to(query.dtype)
