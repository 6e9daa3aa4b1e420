"""The check of a batch before a decoder runs it: compiled code trusts what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from expertrag_kernels.router import widest
from expertrag_kernels.steps import MOST_ROWS, PAGE_TOKENS, SequenceRows, Steps


def check_batch(
    decoder: Steps[Any, Any],
    tokens: torch.Tensor,
    positions: torch.Tensor,
    texts: Sequence[SequenceRows],
    chosen: Sequence[torch.Tensor],
) -> None:
    """Check that a batch is consistent and fits a decoder.

    :param chosen: the picked and the watched rows.
    :raises ValueError: it is not, or does not.
    """
    rows = tokens.shape[0]
    if not 0 < rows <= MOST_ROWS or positions.shape != tokens.shape:
        raise ValueError(f"a batch must have 1 to {MOST_ROWS} tokens, each with a position")
    if not 0 <= int(tokens.min()) <= int(tokens.max()) < decoder.vocabulary:
        raise ValueError(f"tokens must be from 0 to {decoder.vocabulary - 1}; got others")
    for some in chosen:
        if some.numel() and not 0 <= int(some.min()) <= int(some.max()) < rows:
            raise ValueError(f"picked and watched rows must be from 0 to {rows - 1}; got others")
    experts = min((router.true_experts for router in decoder.routers), default=0)
    marks = len(decoder.routers), widest(decoder.routers)
    at = 0
    for text in texts:
        if text.start != at or text.stop <= at:
            raise ValueError("sequences must cover all rows, one after the other")
        at = text.stop
        if text.expert >= experts:
            raise ValueError(f"experts must be from 0 to {experts - 1}; got {text.expert}")
        if text.open is not None and (text.open.shape != marks or text.open.dtype != torch.bool):
            actual = f"{tuple(text.open.shape)} {text.open.dtype}"
            raise ValueError(f"open experts must be {marks} bool; got {actual}")
        _check_sequence(text, int(positions[text.start]), int(positions[at - 1]), decoder)
    if at != rows:
        raise ValueError("sequences must cover all rows, one after the other")


def _check_sequence(
    sequence: SequenceRows, first: int, last: int, decoder: Steps[Any, Any]
) -> None:
    if not 0 <= int(sequence.pages.min()) <= int(sequence.pages.max()) < decoder.pages:
        raise ValueError(f"KV cache pages must be from 0 to {decoder.pages - 1}; got others")
    if first < 0 or last - first != sequence.stop - sequence.start - 1:
        raise ValueError("the rows of a sequence must have consecutive positions")
    if last >= decoder.positions:
        raise ValueError(f"position {last} is beyond the decoder's limit of {decoder.positions}")
    if last // PAGE_TOKENS >= sequence.pages.shape[0]:
        raise ValueError(f"position {last} has no page")
