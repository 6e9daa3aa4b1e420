"""Read the experts of gpt-oss as they are published: in MXFP4, 4 bits with a scale for 32 weights.

A weight is an e2m1 number times a power of two (OCP Microscaling Formats 1.0, 2023), which bfloat16
and float32 hold exactly. An e2m1 number is 0, 0.5, 1, 1.5, 2, 3, 4 or 6, and a sign.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from expertrag.llm.load.safetensors_file import FLOATS, SafetensorsCheckpoint

_BLOCKS, _SCALES = "_blocks", "_scales"
_HALF = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
_VALUES = torch.tensor([*_HALF, *(-value for value in _HALF)], dtype=torch.bfloat16)
_BYTES = torch.arange(256)
# the two weights of each byte, low nibble first, as the bits of one integer
_PAIRS = torch.stack([_VALUES[_BYTES & 15], _VALUES[_BYTES >> 4]], dim=1).view(torch.int32)[:, 0]


def is_mxfp4(config: Any) -> bool:
    """Whether a configuration says that experts are stored in MXFP4."""
    stored: Any = getattr(config, "quantization_config", None)
    if not isinstance(stored, dict):
        stored = stored.to_dict() if hasattr(stored, "to_dict") else {}
    return bool(stored.get("quant_method") == "mxfp4")


class Mxfp4Checkpoint:
    """The tensors of a folder's files; experts in MXFP4 become bfloat16 as they are read.

    ``NAME_blocks`` (E, O, G, 16) uint8 and ``NAME_scales`` (E, O, G) uint8 are read as ``NAME``
    (E, 32 G, O), as transformers' modules have it.
    """

    def __init__(self, folder: Path, *, kept: bool = False) -> None:
        """Read the headers.

        :param kept: leave the experts in MXFP4: (E, O, G, 17) uint8 are read, whose last is the
            exponent. ``shapes`` are the shapes of the weights.
        :raises NotStreamed: there are no such files.
        :raises ValueError: a file is damaged, or scales are missing.
        """
        self._kept = kept
        self._files = SafetensorsCheckpoint(folder, FLOATS)
        self._codes = SafetensorsCheckpoint(folder, {"U8": torch.uint8})
        self.shapes = dict(self._files.shapes)
        for blocks, shape in self._codes.shapes.items():
            if not blocks.endswith(_BLOCKS):
                continue
            name = blocks.removesuffix(_BLOCKS)
            if self._codes.shapes.get(name + _SCALES) != shape[:-1] or len(shape) != 4:
                raise ValueError(f"{blocks} and {name}{_SCALES} do not fit together")
            experts, outputs, groups, size = shape
            self.shapes[name] = experts, groups * size * 2, outputs

    def read(self, name: str) -> torch.Tensor:
        """See :meth:`Checkpoint.read`."""
        if name in self._files.shapes:
            return self._files.read(name)
        blocks, scales = (self._codes.read(name + end) for end in (_BLOCKS, _SCALES))
        if self._kept:
            return torch.cat([blocks, scales[..., None]], dim=3)
        return weights_of(blocks, scales)


def weights_of(blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return the weights (E, 32 G, O) bfloat16 that blocks and scales represent.

    :param blocks: (E, O, G, 16) uint8, two weights in each byte.
    :param scales: (E, O, G) uint8, exponents of two, plus 127; 255 is NaN.
    """
    weights = torch.empty(*blocks.shape, 2, dtype=torch.bfloat16)
    for to, codes, exponents in zip(weights, blocks, scales, strict=True):  # an expert at a time
        to.view(torch.int32)[..., 0] = _PAIRS[codes.int()]
        to.mul_(_powers(exponents)[..., None, None])
    return weights.flatten(2).transpose(1, 2)


def _powers(exponents: torch.Tensor) -> torch.Tensor:
    """Return powers of two, which in bfloat16 are their exponents alone."""
    bits = exponents.to(torch.int16) << 7
    bits[exponents == 0] = 0x40  # subnormal
    bits[exponents == 255] = 0x7FC0  # NaN
    return bits.view(torch.bfloat16)
