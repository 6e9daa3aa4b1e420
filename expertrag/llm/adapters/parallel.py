"""Parallel adapters (He et al. 2022): small experts next to feed-forward layers.

Each layer adds the output of the sequence's expert to its own. ``expertrag train reader`` makes
them for a base model that is too large to be copied for each domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from expertrag.llm.adapters.served import DenseLayer, ServedAdapters
from expertrag.llm.weights import Amount
from expertrag_kernels import Format, PlainExperts
from expertrag_kernels.layout import layer_bytes
from expertrag_kernels.router import Router
from expertrag_kernels.steps import Steps


@dataclass(frozen=True, slots=True)
class ParallelAdapters(ServedAdapters):
    """``layers``: weights (E, 2 R, H) and (E, H, R) by layer number."""

    layers: Mapping[int, PlainExperts] = field(kw_only=True)

    def plan(self, decoder: Steps[Any, Any], dense: DenseLayer) -> None:
        """See :meth:`ServedAdapters.plan`; with a quantised base, the experts have 8 bits."""
        ServedAdapters.plan(self, decoder, dense)
        plain = self.layers.get(dense.number)
        if plain is None:
            return
        rounded = _round_format(dense.format)
        # each sequence sets its expert, so the logits are not used; ``BASE`` is past the last one
        decoder.route(dense.source, Router(len(self.names), 1))
        decoder.mix(dense.source, dense.to, decoder.experts(plain, rounded), 1)

    def amounts(self, format: Format) -> tuple[Mapping[str, Amount], Amount]:
        """See :meth:`ServedAdapters.amounts`; the padding of narrow ones is also used."""
        one = Amount()
        for plain in self.layers.values():
            width = plain.hidden_size, plain.inner_size
            one += Amount(3 * width[0] * width[1], layer_bytes(_round_format(format), 1, *width))
        names = self.names[:-1]
        return dict.fromkeys(names, one), one.times(len(names))


def _round_format(format: Format) -> Format:
    return Format.INT8 if format is Format.INT4 else format
