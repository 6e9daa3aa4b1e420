"""MXFP4: 4 bits per weight, and a power of two for 32 of them (OCP Microscaling Formats 1.0, 2023).

A code is a sign and one of the sizes 0, 0.5, 1, 1.5, 2, 3, 4 and 6. An exponent is a byte: the
exponent of two, plus 127; 255 is not a number. :mod:`expertrag_kernels.layout` describes the order
of both.
"""

from __future__ import annotations

import torch

from expertrag_kernels.blocks import COLUMNS

GROUP = 32
"""Weights of an exponent."""
GROUP_BYTES = COLUMNS + GROUP * COLUMNS // 2
"""Size of a group of a block."""

_NO_NUMBER = 255
_SIZES = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
_VALUES = torch.tensor([*_SIZES, *(-size for size in _SIZES)])


def encode(blocks: torch.Tensor) -> torch.Tensor:
    """Encode blocks of weights [N, 64, K] float32 to bytes [N, B].

    A weight is rounded to the nearest code. The greatest weight of a group is 4 to 8 times its
    power of two, of which 6 is the greatest code. Weights that were in MXFP4 keep their values.
    """
    groups = blocks.unflatten(2, (-1, GROUP))  # [N, 64, G, 32]
    most = groups.abs().amax(dim=3)  # [N, 64, G]
    exponents = ((most.view(torch.int32) >> 23) - 2).clamp(min=0)
    scaled = groups * ((254 - exponents) << 23).view(torch.float32)[..., None]
    size = scaled.abs()
    codes = torch.zeros_like(size, dtype=torch.uint8)
    for place, bound in enumerate((0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)):
        codes += size >= bound if place % 2 else size > bound  # of two as near, the even one
    codes |= (scaled < 0).to(torch.uint8) << 3
    halves = codes.unflatten(3, (4, 2, 4))  # [N, 64, G, 4, 2, 4]
    both = halves[..., 0, :] | halves[..., 1, :] << 4  # [N, 64, G, 4, 4]
    return _bytes(both.view(torch.int32)[..., 0], exponents.to(torch.uint8))


def repack(published: torch.Tensor) -> torch.Tensor:
    """Convert blocks as they are published to bytes [N, B].

    :param published: [N, 64, G, 17] uint8: 16 bytes of codes, of a weight in the low half and of
        the next in the high half, and an exponent.
    :raises ValueError: a weight is not finite.
    """
    exponents = published[..., -1]
    if bool((exponents == _NO_NUMBER).any()):
        raise ValueError("weights are not finite: download the model again")
    words = published[..., :-1].contiguous().view(torch.int32)  # [N, 64, G, 4], of 8 codes in turn
    # codes 0 1 2 3 4 5 6 7 of a word become 0 1 4 5 2 3 6 7, and then 0 4 1 5 2 6 3 7
    return _bytes(_swap(_swap(words, 0xFF00, 8), 0xF000F0, 4), exponents)


def decode(data: torch.Tensor) -> torch.Tensor:
    """Decode the bytes of blocks [N, B] to weights [N, 64, K] float32."""
    groups = data.unflatten(1, (-1, GROUP_BYTES))  # [N, G, B / G]
    exponents, both = groups.split([COLUMNS, GROUP_BYTES - COLUMNS], dim=2)
    both = both.unflatten(2, (4, 4, 16, 4)).permute(0, 2, 4, 1, 3, 5)  # [N, 4, 16, G, 4, 4]
    codes = torch.stack([both & 15, both >> 4], dim=5)  # [N, 4, 16, G, 4, 2, 4]
    values = _VALUES[codes.flatten(4).flatten(1, 2).int()]  # [N, 64, G, 32]
    return (values * powers(exponents.transpose(1, 2))[..., None]).flatten(2)


def powers(exponents: torch.Tensor) -> torch.Tensor:
    """Return the powers of two that exponents represent, in float32."""
    bits = exponents.to(torch.int32) << 23
    bits[exponents == 0] = 0x400000  # subnormal
    bits[exponents == _NO_NUMBER] = 0x7FC00000  # NaN
    return bits.view(torch.float32)


def _swap(words: torch.Tensor, mask: int, by: int) -> torch.Tensor:
    """Swap the bits of a mask with those that are ``by`` places higher."""
    change = (words ^ (words >> by)) & mask
    return words ^ change ^ (change << by)


def _bytes(words: torch.Tensor, exponents: torch.Tensor) -> torch.Tensor:
    """Put words of 8 codes [N, 64, G, 4] and exponents [N, 64, G] into the order of the layout."""
    lines = words.unflatten(1, (4, 16)).permute(0, 3, 1, 4, 2)  # [N, G, 4, 4, 16]
    codes = lines.flatten(2).view(torch.uint8)
    return torch.cat([exponents.transpose(1, 2), codes], dim=2).flatten(1)
