"""One scale for the scores of all experts, because cosines of different encoders do not compare.

A partition's scores are mapped onto the scale of the base model by an affine function, measured
when a generation is built. It is increasing, so the order within a partition does not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from expertrag_index.store.manifest import JSON
from expertrag_index.types import FloatArray


@dataclass(frozen=True, slots=True)
class Scale:
    """The map ``scale * cosine + shift``, with ``scale`` above 0."""

    scale: float = 1.0
    shift: float = 0.0

    def of(self, cosines: FloatArray) -> FloatArray:
        """Map cosines to the common scale; the identity leaves them bit-identical."""
        if self == IDENTITY:
            return cosines
        return cosines * np.float32(self.scale) + np.float32(self.shift)


IDENTITY = Scale()


def read_scales(calibration: Mapping[str, JSON]) -> dict[str, Scale]:
    """Read the scales of the partitions by expert; a missing one means the identity."""
    stored = calibration.get("partitions")
    if not isinstance(stored, Mapping):
        return {}
    return {
        expert: Scale(float(str(fields["scale"])), float(str(fields["shift"])))
        for expert, fields in stored.items()
        if isinstance(fields, Mapping)
    }
