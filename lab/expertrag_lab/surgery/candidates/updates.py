"""How alike low-rank updates are, computed without expanding them.

    <U D, U' D'> = tr(Dᵀ Uᵀ U' D') = sum of (Uᵀ U') ∘ (D D'ᵀ)

The authors of K-shot selection (Yang et al. 2024) compare the factors D and U themselves. The same
update has many factors, so here the updates are compared.

O outputs, I inputs, R rank, C candidates
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from expertrag.llm.adapters.lora import LoraWeights, Projection

Updates = Mapping[Projection, LoraWeights]


def sum_of(parts: Sequence[Updates]) -> Updates:
    """Return the sum of updates, as one update of the joint rank."""
    return {
        projection: LoraWeights(
            torch.cat([part[projection].down for part in parts if projection in part]),
            torch.cat([part[projection].up for part in parts if projection in part], dim=1),
        )
        for projection in dict.fromkeys(projection for part in parts for projection in part)
    }


def cosines(updates: Sequence[Updates]) -> NDArray[np.float64]:
    """Return the cosine of each pair of updates (C, C), over all projections together.

    A projection that an update leaves alone counts as zeros; an update of zeros is like no other.
    """
    dots = np.array([[_dot(one, other) for other in updates] for one in updates], np.float64)
    dots = dots.reshape(len(updates), len(updates))
    norms = np.sqrt(np.diag(dots))
    scale = np.where(norms > 0, norms, np.inf)
    result: NDArray[np.float64] = dots / np.outer(scale, scale)
    return result.clip(-1.0, 1.0)


def _dot(one: Updates, other: Updates) -> float:
    total = 0.0
    for projection in one:
        if projection in other:
            (down, up), (down_too, up_too) = (
                [part.double() for part in each[projection]] for each in (one, other)
            )
            total += float(((up.T @ up_too) * (down @ down_too.T)).sum())  # of [R, R']
    return total
