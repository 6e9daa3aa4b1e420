"""Adapters that are served next to the weights of a base model, one expert per sequence.

The base model's weights do not change, whatever their format. Sequences of ``BASE`` have no
adapter, and get what the base model gives, bit for bit.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.llm.network import Limits
from expertrag.llm.prompt import UNSCALED, Doubt
from expertrag.llm.weights import Amount
from expertrag_kernels import Format
from expertrag_kernels.steps import SlotView, Steps


def of_a_mixture() -> InvalidArgument:
    """Return the error for adapters of a base whose feed-forward layers are mixtures."""
    return InvalidArgument(
        "reader: it cannot be added to a mixture of experts; run `expertrag llm attach` with this "
        "base and this reader, and use the folder that it writes as the generator"
    )


class DenseLayer(NamedTuple):
    """The feed-forward network of a layer of the base model, as it is planned.

    ``source``: the view that it reads. ``to``: the view that its output is added to. ``weights``:
    the decoder's only expert, in ``format``.
    """

    number: int
    source: SlotView
    to: SlotView
    weights: Any
    format: Format


@dataclass(frozen=True, slots=True)
class ServedAdapters(ABC):
    """A reader's adapters, and what they were trained on.

    ``names``: of the experts, then ``BASE``, which has none. ``base``: fingerprint of the base
    model's files. ``prompts``: fingerprint of the training prompts. ``digest``: hash of the
    weights. ``doubt``: scaling of the probability of an abstention.
    """

    names: tuple[str, ...]
    base: str
    base_name: str
    prompts: str
    digest: str
    doubt: Doubt = UNSCALED

    def plan(self, decoder: Steps[Any, Any], dense: DenseLayer) -> None:
        """Plan the feed-forward network of a layer, with what the adapters have next to it."""
        decoder.mix(dense.source, dense.to, dense.weights)

    def updates(
        self, decoder: Steps[Any, Any], weights: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], ...]:
        """Make the updates of the base model's weights; see :meth:`Steps.adapter`.

        :param weights: of the decoder, by name, once everything is planned; see ``Lowered``.
        :returns: the updates of each of ``names``; nothing if experts are planned instead.
        :raises InvalidArgument: the model is a mixture.
        """
        del decoder, weights
        return ()

    @abstractmethod
    def amounts(self, format: Format) -> tuple[Mapping[str, Amount], Amount]:
        """Count the weights that sequences of each expert but ``BASE`` use, and all of them.

        :param format: of the base model's weights.
        """
        ...

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
