"""Small experts beside the feed-forward layers of a model, one of them for a whole text.

The model's weights stay as they are, in whatever format: each layer adds what the text's expert
makes of it (parallel adapters, He et al. 2022), and texts of ``BASE`` have none. They are what
``expertrag train reader`` makes for a base that is too large to be copied for each domain.
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
from expertrag_kernels.steps import Steps, View


@dataclass(frozen=True, slots=True)
class Beside:
    """Small experts, and what they were trained on.

    ``names``: of the experts, then ``BASE``, which is none of them. ``layers``: weights (E, 2 R, H)
    and (E, H, R) by the number of their layer. ``base``: fingerprint of the base model's files.
    ``prompts``: of the prompts of the training. ``digest``: of the weights. ``doubt``: how the
    probability of an abstention is scaled.
    """

    names: tuple[str, ...]
    layers: Mapping[int, PlainExperts]
    base: str
    base_name: str
    prompts: str
    digest: str
    doubt: Doubt = UNSCALED

    def check_base(self, name: str, fingerprint: str) -> None:
        """Refuse a model that they were not trained beside.

        :param fingerprint: of what the model was packed from, or of its own files.
        :raises Conflict: it is another model.
        """
        if fingerprint != self.base:
            raise Conflict(
                f"the reader was trained beside {self.base_name}, and {name} is another model: "
                "name that one as the generator, or set the reader to none",
                reason="READER_OF_ANOTHER_MODEL",
            )

    def limits(self, limits: Limits) -> Limits:
        """Add the experts to what is known of the base model.

        :raises InvalidArgument: it has experts of its own.
        """
        if limits.experts:
            raise InvalidArgument("reader: the model has named experts, beside which none can be")
        return replace(limits, experts=self.names, reader_prompts=self.prompts)

    def fingerprint(self, base: str) -> str:
        """Hash of the base model with these experts."""
        return hashlib.sha256(f"{base} with {self.digest} {self.doubt}".encode()).hexdigest()[:16]

    def plan(
        self, decoder: Steps[Any, Any], layer: int, source: View, to: View, format: Format
    ) -> None:
        """Plan the steps of a layer, after those of its own.

        :param source: what the layer reads.
        :param to: what it adds to.
        :param format: of the base model; experts of a rounded one have 8 bits.
        """
        plain = self.layers.get(layer)
        if plain is None:
            return
        rounded = Format.INT8 if format in (Format.INT8, Format.INT4) else format
        # every text has its expert, so that nobody reads logits; ``BASE`` is beyond the last one
        decoder.route(source, len(self.names), 1)
        decoder.mix(source, to, decoder.experts(plain, rounded), 1)
