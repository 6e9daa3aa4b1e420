"""A model's weights, as one token uses them and in all: the expert term of a cost, from its shapes.

Gumaan (2025, arXiv 2504.08744) writes the cost of the experts as the cost of the k of N that a
token uses. The gain in capacity is the total by the active parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from expertrag_kernels import PackedExperts, PackedMatrix, PlainExperts

NO_WEIGHTS = frozenset({"angles"})
"""Names of what is packed with the weights but computed from the configuration."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of weights, and the bytes that they take as the engine holds them."""

    parameters: float = 0
    bytes: float = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.parameters + other.parameters, self.bytes + other.bytes)

    def times(self, factor: float) -> Amount:
        """Return so many times this amount."""
        return Amount(self.parameters * factor, self.bytes * factor)


@dataclass(frozen=True, slots=True)
class WeightUse:
    """What one token uses of a model's weights.

    ``body``: weights that every token uses: attention, norms, routers, dense layers, shared
    experts. ``head``: the matrix of the logits, used by tokens that another is sampled after.
    ``words``: the embedding table, if it is not the head's; a token uses one of its ``vocabulary``
    rows. ``expert``: one routed expert of each layer that has a router, together. ``experts``:
    their number in a layer; 0 without routers. ``top_k``: how many of them a token uses, as the
    model was trained. ``light``: the vectors of one light expert of each such layer, together;
    ``light_per_token``: how many of them a token uses. ``by_sequence``: all tokens of a sequence
    use the same ones. ``adapters``: the adapter of each domain, as a sequence of it uses it;
    ``all_adapters``: all of them.
    """

    body: Amount
    head: Amount
    words: Amount = Amount()
    vocabulary: int = 1
    expert: Amount = Amount()
    experts: int = 0
    top_k: int = 0
    light: Amount = Amount()
    light_per_token: int = 0
    by_sequence: bool = False
    adapters: Mapping[str, Amount] = field(default_factory=dict)
    all_adapters: Amount = Amount()

    @property
    def total(self) -> Amount:
        """All weights, all experts and adapters included; tied ones count once."""
        each = (self.expert + self.light).times(self.experts)
        return _sum((self.body, self.head, self.words, each, self.all_adapters))

    def active(self, experts: float | None = None, *, adapter: str | None = None) -> Amount:
        """Weights that a decode step reads for one sequence.

        :param experts: distinct experts of a layer that its rows use; None for ``top_k``.
        :param adapter: the domain of the sequence; None for the base model.
        """
        used = self.top_k if experts is None else experts
        row = self.words.times(1 / self.vocabulary)
        own = self.adapters.get(adapter, Amount()) if adapter else Amount()
        light = self.light.times(self.light_per_token)
        return _sum((self.body, self.head, row, self.expert.times(used), light, own))

    def capacity_gain(self, experts: float | None = None, *, adapter: str | None = None) -> float:
        """Total by active parameters; 1 for a dense model."""
        return self.total.parameters / self.active(experts, adapter=adapter).parameters

    def distinct(self, experts: float, rows: float) -> float:
        """Distinct experts of a layer that ``rows`` tokens of a sequence use, in expectation.

        As if every expert were as likely as any other: N (1 - (1 - k / N)^rows).

        :param experts: that each token uses.
        """
        if not self.experts or self.by_sequence:
            return experts
        unused: float = (1 - experts / self.experts) ** rows
        return self.experts * (1 - unused)


def weight_use(
    weights: Mapping[str, Any],
    top_k: int,
    adapters: Mapping[str, Amount],
    all_adapters: Amount,
    light: int = 0,
) -> WeightUse:
    """Sort the weights of a lowered model by who uses them.

    :param weights: ``Lowered.weights``.
    :param top_k: experts per token.
    :param light: light experts per token.
    """
    named = {name: weight for name, weight in weights.items() if name not in NO_WEIGHTS}
    routed = {name: item for name, item in named.items() if getattr(item, "num_experts", 1) > 1}
    vectors = {name: item for name, item in named.items() if name.endswith(".light")}
    told = {*routed, *vectors, "head", "words"}
    others = (item for name, item in named.items() if name not in told)
    words = named.get("words")
    most = max((item.num_experts for item in routed.values()), default=0)
    return WeightUse(
        body=_sum(map(amount, others)),
        head=amount(named["head"]),
        words=Amount() if words is None else amount(words),
        vocabulary=_rows(named["head"] if words is None else words),
        expert=_sum(amount(item).times(1 / item.num_experts) for item in routed.values()),
        experts=most,
        top_k=min(top_k, most),  # with null experts, the choice may be larger
        light=_sum(amount(item).times(1 / len(item)) for item in vectors.values()),
        light_per_token=light,
        adapters=adapters,
        all_adapters=all_adapters,
    )


def amount(weight: Any) -> Amount:
    """Count a weight as a decoder holds it; what pads a packed one counts as bytes only.

    :param weight: a tensor, a packed matrix, or experts.
    """
    match weight:
        case torch.Tensor():
            return Amount(weight.numel(), weight.nbytes)
        case PackedMatrix():
            return Amount(weight.outputs * weight.inputs, weight.data.nbytes)
        case PackedExperts():
            hidden, inner = weight.hidden_size, weight.inner_size
            one = 3 * hidden * inner + weight.biased * (2 * inner + hidden)
            return Amount(weight.num_experts * one, weight.data.nbytes)
        case PlainExperts():
            parts = weight.gate_up, weight.down, weight.gate_up_bias, weight.down_bias
            return _sum(amount(part) for part in parts if part is not None)
    raise TypeError(f"{type(weight).__name__} are not weights of a decoder")


def _rows(table: Any) -> int:
    rows: int = table.shape[0] if isinstance(table, torch.Tensor) else table.outputs
    return rows


def _sum(amounts: Iterable[Amount]) -> Amount:
    return sum(amounts, Amount())
