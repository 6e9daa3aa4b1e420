"""Four bits per weight: a line through the bytes of 32 weights, and a scale for 128.

A nibble n represents the weight scale * (min(255, (17 * slope * n >> 7) + least) - 127):
the multiplied value has 8 bits. So a group can have any steps, as in llama.cpp's Q4_K. Products of
a super-block are summed as integers, and many rows are multiplied at the speed of int8.
The order is described in :mod:`expertrag_kernels.layout`.
"""

from __future__ import annotations

import torch

from expertrag_kernels.blocks import COLUMNS, SMALLEST_SCALE

GROUP = 32
"""Weights of a line."""
SUPER = 128
"""Weights of a scale."""
_ZERO = 127  # the byte that represents 0


def block_bytes(inputs: int) -> int:
    """Size of a block in bytes, for a padded number of inputs."""
    codes_and_nibbles = COLUMNS * 2 + GROUP * COLUMNS // 2
    supers, groups = -(-inputs // SUPER), inputs // GROUP
    return supers * COLUMNS * 2 + groups * codes_and_nibbles


def encode(blocks: torch.Tensor) -> torch.Tensor:
    """Encode blocks of weights [N, 64, K] float32 to bytes [N, B]."""
    parts = []
    for block in blocks.split(SUPER, dim=2):
        scale = (block.abs().amax(dim=2) / _ZERO).bfloat16()  # [N, 64]
        wide = scale.float()[:, :, None]
        inverse = torch.where(wide > SMALLEST_SCALE, 1 / wide, 0.0)
        groups = (block * inverse + _ZERO).unflatten(2, (-1, GROUP))  # [N, 64, G, 32]
        slope, least = _range(groups)  # [N, 64, G] each
        codes = torch.stack([slope, least], dim=3).to(torch.uint8)  # [N, 64, G, 2]
        bits = _nibbles(groups, slope, least).to(torch.uint8)  # [N, 64, G, 32]
        both = bits[..., :16] | (bits[..., 16:] << 4)  # [N, 64, G, 16]
        parts += [
            scale.view(torch.uint8),
            codes.unflatten(1, (4, 16)).transpose(2, 3).flatten(1),
            both.unflatten(1, (4, 4, 4)).permute(0, 1, 4, 3, 2, 5).flatten(1),
        ]
    return torch.cat(parts, dim=1)


def decode(blocks: torch.Tensor, inputs: int) -> torch.Tensor:
    """Decode the bytes of blocks [N, B] to weights [N, 64, K] float32."""
    parts = []
    for start in range(0, inputs, SUPER):
        count = min(SUPER, inputs - start) // GROUP  # G
        sizes = COLUMNS * 2, COLUMNS * 2 * count, COLUMNS * 16 * count
        ends, codes, both, blocks = blocks.split([*sizes, blocks.shape[1] - sum(sizes)], dim=1)
        scale = ends.contiguous().view(torch.bfloat16).float()  # [N, 64]
        pairs = codes.unflatten(1, (4, count, 16, 2)).transpose(2, 3).flatten(1, 2)
        slope, least = pairs.float().unbind(3)  # [N, 64, G] each
        columns = both.unflatten(1, (4, count, 4, 4, 16)).permute(0, 1, 4, 3, 2, 5).flatten(1, 3)
        bits = torch.cat([columns & 15, columns >> 4], dim=3).float()  # [N, 64, G, 32]
        weights = (_byte_values(bits, slope, least) - _ZERO) * scale[:, :, None, None]
        parts.append(weights.flatten(2))
    return torch.cat(parts, dim=2)


def _byte_values(bits: torch.Tensor, slope: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
    """Return the bytes that nibbles represent, [N, 64, G, 32]."""
    steps = (17 * slope / 128)[..., None]
    return ((bits * steps).floor() + least[..., None]).clamp(max=255)


def _nibbles(groups: torch.Tensor, slope: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
    """Return the nearest nibbles; a byte is on average half a unit below its line."""
    inverse = torch.where(slope > 0, 128 / (17 * slope), 0.0)
    return ((groups - least[..., None] + 0.5) * inverse[..., None]).round().clamp(0, 15)


def _range(groups: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return slope and least value with the smallest squared error, [N, 64, G] each, as stored.

    These are the candidates:

    - the range from the least weight to the greatest, or up to a quarter less. The narrower range
      clips some weights but has finer steps for the others
    - the same range in fewer steps than there are nibbles, which recovers weights that were rounded
      before
    - a range around 0, as in llama.cpp's Q4_0

    The best candidate is then refined by least squares.

    :param groups: [N, 64, G, 32] weights in steps of their super-blocks, plus 127.
    """
    low = groups.amin(dim=3).clamp(max=_ZERO)  # [N, 64, G]
    high = torch.maximum(groups.amax(dim=3), low)
    best = torch.zeros_like(low), torch.zeros_like(low)
    fewest = torch.full_like(low, torch.inf)
    cuts = [0.5 * (high - low) * (0.03125 * step) for step in range(8)]
    ranges = [(low + cut, (high - low - 2 * cut) / 15) for cut in cuts]
    ranges += [(low, (high - low) / steps) for steps in range(14, 7, -1)]
    size = torch.maximum(_ZERO - low, high - _ZERO) / 8
    ranges.append((torch.where(_ZERO - low >= high - _ZERO, low, _ZERO - 7 * size), size))
    for first, step in ranges:
        slope = (step * (128 / 17)).round().clamp(0, 127)
        least = (first + 0.5 * (slope > 0)).round().clamp(0, 127)
        error = _error(groups, slope, least)
        better = error < fewest
        best = torch.where(better, slope, best[0]), torch.where(better, least, best[1])
        fewest = torch.where(better, error, fewest)
    slope, least = _fit_line(groups, *best)
    better = _error(groups, slope, least) < fewest
    return torch.where(better, slope, best[0]), torch.where(better, least, best[1])


def _error(groups: torch.Tensor, slope: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
    nibbles = _nibbles(groups, slope, least)
    return _byte_values(nibbles, slope, least).sub_(groups).square_().sum(dim=3)


def _fit_line(
    groups: torch.Tensor, slope: torch.Tensor, least: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the least-squares line through the nibbles of a range and its weights."""
    x = _nibbles(groups, slope, least)
    spread = GROUP * x.square().sum(dim=3) - x.sum(dim=3) ** 2
    along = GROUP * (x * groups).sum(dim=3) - x.sum(dim=3) * groups.sum(dim=3)
    fitted = (along / spread * (128 / 17)).round().clamp(0, 127)
    refined = torch.where(spread > 0, fitted, slope)
    rest = groups - (x * (17 * refined / 128)[..., None]).floor()
    return refined, torch.where(spread > 0, rest.mean(dim=3).round().clamp(0, 127), least)
