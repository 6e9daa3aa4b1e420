"""Low-rank updates (LoRA, Hu et al. 2022) of feed-forward layers, served without merging.

All sequences share one pass over the base model's weights, and each adds the updates of its expert,
which are much smaller. They are not quantised with the base model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from expertrag.llm.adapters.lora import LoraWeights, Projection, target_of
from expertrag.llm.adapters.served import ServedAdapters, of_a_mixture
from expertrag.llm.base import BASE, SHARED
from expertrag.llm.weights import Amount
from expertrag_kernels import Format
from expertrag_kernels.steps import Steps


@dataclass(frozen=True, slots=True)
class LowRankAdapters(ServedAdapters):
    """``weights``: updates by the name of their expert; all use the updates of ``SHARED``."""

    weights: Mapping[str, Mapping[Projection, LoraWeights]] = field(kw_only=True)

    def parts(self, name: str) -> tuple[str, ...]:
        """Return which of ``weights`` an expert uses; none for ``BASE``."""
        if name == BASE:
            return ()
        return tuple(part for part in dict.fromkeys((SHARED, name)) if part in self.weights)

    def updates(
        self, decoder: Steps[Any, Any], weights: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], ...]:
        """See :meth:`ServedAdapters.updates`."""

        def make_update(part: Mapping[Projection, LoraWeights]) -> Any:
            targets = {some: target_of(some, weights, decoder.shape) for some in part}
            if None in targets.values():
                raise of_a_mixture()
            return decoder.adapter(
                target.update(part[some]) for some, target in targets.items() if target
            )

        adapters = {name: make_update(part) for name, part in self.weights.items()}
        return tuple(tuple(adapters[part] for part in self.parts(name)) for name in self.names)

    def amounts(self, format: Format) -> tuple[Mapping[str, Amount], Amount]:
        """See :meth:`ServedAdapters.amounts`."""
        one = Amount(1, 4 if format is Format.F32 else 2)
        sizes = {
            name: one.times(sum(lora.down.numel() + lora.up.numel() for lora in part.values()))
            for name, part in self.weights.items()
        }
        by_name = {
            name: sum((sizes[part] for part in self.parts(name)), Amount())
            for name in self.names[:-1]
        }
        return by_name, sum(sizes.values(), Amount())
