"""The order of inputs in a block of 64 outputs, which the formats of the layout share."""

from __future__ import annotations

import torch

COLUMNS = 64
"""Outputs of a block."""
SMALLEST_SCALE = 1e-37
"""With a smaller scale, the quantised values are 0."""


def into_runs(blocks: torch.Tensor, run: int) -> torch.Tensor:
    """[N, 64, K] to [N, K/run, 64, run]: for every column the inputs of one instruction."""
    count, columns, inputs = blocks.shape
    return blocks.view(count, columns, inputs // run, run).transpose(1, 2).contiguous()


def from_runs(runs: torch.Tensor, run: int) -> torch.Tensor:
    """Undo :func:`into_runs` on [N, K * 64]."""
    return runs.view(runs.shape[0], -1, COLUMNS, run).transpose(1, 2).flatten(2)
