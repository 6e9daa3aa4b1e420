"""Low-rank updates (LoRA, Hu et al. 2022) of feed-forward layers, served without merging.

All sequences share one pass over the base model's weights, and each adds the updates of its expert,
which are much smaller. They are not quantised with the base model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from expertrag.llm.adapters.served import DenseLayer, ServedAdapters
from expertrag_kernels import LowRankUpdates
from expertrag_kernels.steps import Steps


class LayerUpdates(NamedTuple):
    """The updates of a layer's gate (I, H), up (I, H) and down (H, I)."""

    gate: LowRankUpdates
    up: LowRankUpdates
    down: LowRankUpdates


@dataclass(frozen=True, slots=True)
class LowRankAdapters(ServedAdapters):
    """``layers``: updates by layer number; the experts of each are ``names``."""

    layers: Mapping[int, LayerUpdates] = field(kw_only=True)

    def plan(self, decoder: Steps[Any, Any], dense: DenseLayer) -> None:
        """See :meth:`ServedAdapters.plan`."""
        found = self.layers.get(dense.number)
        if found is None:
            decoder.mix(dense.source, dense.to, dense.weights)
        else:
            decoder.mix_updated(dense.source, dense.to, dense.weights, *found)
