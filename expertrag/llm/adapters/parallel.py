"""Parallel adapters (He et al. 2022): small experts next to feed-forward layers, one per sequence.

The base model's weights do not change, whatever their format: each layer adds the output of the
sequence's expert to its own. Sequences of ``BASE`` have no expert. ``expertrag train reader``
makes parallel adapters for a base model that is too large to be copied for each domain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.llm.network import Limits
from expertrag.llm.prompt import UNSCALED, Doubt
from expertrag_kernels import Format, PlainExperts
from expertrag_kernels.steps import SlotView, Steps


@dataclass(frozen=True, slots=True)
class ParallelAdapters:
    """A reader's parallel adapters, and what they were trained on.

    ``names``: of the experts, then ``BASE``, which has no expert. ``layers``: weights (E, 2 R, H)
    and (E, H, R) by layer number. ``base``: fingerprint of the base model's files. ``prompts``:
    fingerprint of the training prompts. ``digest``: hash of the weights. ``doubt``: scaling of the
    probability of an abstention.
    """

    names: tuple[str, ...]
    layers: Mapping[int, PlainExperts]
    base: str
    base_name: str
    prompts: str
    digest: str
    doubt: Doubt = UNSCALED

    def check_base(self, name: str, fingerprint: str) -> None:
        """Check that a model is the one that the adapters were trained on.

        :param fingerprint: of the files that the model was packed from, or of its own files.
        :raises Conflict: it is another model.
        """
        if fingerprint != self.base:
            raise Conflict(
                f"the reader was trained on {self.base_name}, but {name} is another model: use "
                f"{self.base_name} as the generator, or set the reader to none",
                reason="READER_OF_ANOTHER_MODEL",
            )

    def limits(self, limits: Limits) -> Limits:
        """Add the experts to the limits of the base model.

        :raises InvalidArgument: the base model has named experts of its own.
        """
        if limits.experts:
            raise InvalidArgument("reader: it cannot be added to a model with named experts")
        return replace(limits, experts=self.names, reader_prompts=self.prompts)

    def fingerprint(self, base: str) -> str:
        """Hash of the base model with these experts."""
        return hashlib.sha256(f"{base} with {self.digest} {self.doubt}".encode()).hexdigest()[:16]

    def plan(
        self, decoder: Steps[Any, Any], layer: int, source: SlotView, to: SlotView, format: Format
    ) -> None:
        """Plan the expert's steps in a layer, after the layer's own steps.

        :param source: the input of the layer.
        :param to: the view that the output is added to.
        :param format: of the base model; with a quantised one, the experts have 8 bits.
        """
        plain = self.layers.get(layer)
        if plain is None:
            return
        rounded = Format.INT8 if format in (Format.INT8, Format.INT4) else format
        # each sequence sets its expert, so the logits are not used; ``BASE`` is past the last one
        decoder.route(source, len(self.names), 1)
        decoder.mix(source, to, decoder.experts(plain, rounded), 1)
