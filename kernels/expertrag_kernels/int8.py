"""Eight bits per weight, and a scale for each output.

The order is described in :mod:`expertrag_kernels.layout`.
"""

from __future__ import annotations

import torch

from expertrag_kernels.blocks import COLUMNS, SMALLEST_SCALE, from_runs, into_runs

GROUP = 128
"""Inputs whose weights have a sum of their own."""


def block_bytes(inputs: int) -> int:
    """Size of a block in bytes, for a padded number of inputs."""
    groups = -(-inputs // GROUP)
    return COLUMNS * 4 + groups * COLUMNS * 2 + inputs * COLUMNS


def encode(blocks: torch.Tensor) -> torch.Tensor:
    """Encode blocks of weights [N, 64, K] float32 to bytes [N, B]."""
    scale = blocks.abs().amax(dim=2) / 127  # [N, 64]
    inverse = torch.where(scale > SMALLEST_SCALE, 1 / scale, 0.0)
    quantised = (blocks * inverse[:, :, None]).round().to(torch.int8)  # [N, 64, K]
    parts = [scale.view(torch.uint8)]
    for group in quantised.split(GROUP, dim=2):
        sums = (-group.sum(dim=2, dtype=torch.int32)).to(torch.int16)  # [N, 64]
        parts += [sums.view(torch.uint8), into_runs(group, 4).view(torch.uint8).flatten(1)]
    return torch.cat(parts, dim=1)


def decode(blocks: torch.Tensor, inputs: int) -> torch.Tensor:
    """Decode the bytes of blocks [N, B] to weights [N, 64, K] float32."""
    scale = blocks[:, : COLUMNS * 4].contiguous().view(torch.float32)  # [N, 64]
    parts, at = [], COLUMNS * 4
    for start in range(0, inputs, GROUP):
        size = min(GROUP, inputs - start) * COLUMNS
        at += COLUMNS * 2
        parts.append(from_runs(blocks[:, at : at + size].contiguous().view(torch.int8), 4))
        at += size
    return torch.cat(parts, dim=2).float() * scale[:, :, None]
