"""Low-rank updates (LoRA, Hu et al. 2022) of feed-forward layers, served without merging.

All sequences share one pass over the base model's weights, and each adds the updates of its expert,
which are much smaller. They are not quantised with the base model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from expertrag.llm.adapters.served import DenseLayer, ServedAdapters
from expertrag.llm.weights import Amount, amount
from expertrag_kernels import Format, LowRankUpdates
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

    def amounts(self, format: Format) -> tuple[Mapping[str, Amount], Amount]:
        """See :meth:`ServedAdapters.amounts`; updates are in float32 whatever the base is in."""
        del format
        updates = [update for layer in self.layers.values() for update in layer]
        by_name = {
            name: _in_float32(
                amount(update).parameters
                * int(update.used[expert].count_nonzero())
                / update.used.shape[1]
                for update in updates
            )
            for expert, name in enumerate(self.names[:-1])
        }
        return by_name, _in_float32(amount(update).parameters for update in updates)


def _in_float32(parameters: Iterable[float]) -> Amount:
    return Amount(1, 4).times(sum(parameters))
