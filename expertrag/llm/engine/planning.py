"""Plan steps that were read from a file, on a decoder of packed weights.

Compiled code trusts a plan, so this module checks that the steps of a file stay within their slots,
heads and weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from expertrag.llm.engine.stored_calls import gather
from expertrag_kernels import Packed, PackedExperts, PackedMatrix
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.light import neurons_of
from expertrag_kernels.router import Router
from expertrag_kernels.steps import OUTPUT, AttentionViews, SlotView

STEPS = (
    "slot", "embed", "norm", "linear", "rope", "attend", "route", "light", "mix", "keep", "pick",
)  # fmt: skip
"""Calls that plan a step, or allocate a slot."""
FREQUENCIES = "angles"
"""Name of the weight with the rotary frequency of each pair of a head."""

_Touched = tuple[SlotView, int, int]  # a view, its heads, and the floats of each


@dataclass(slots=True)
class Plan:
    """A decoder's steps so far.

    ``scaling``: factor of cosines and sines; ``polar``: they are computed as complex numbers;
    ``longest``: number of positions that have them.
    """

    decoder: Decoder
    packed: Mapping[str, Packed]
    scaling: float
    polar: bool
    longest: int
    slots: list[int] = field(init=False, default_factory=list)  # the decoder's, of the file's
    widths: dict[int, int] = field(init=False, default_factory=dict)  # by the decoder's slot
    routed: tuple[int, int] = field(init=False, default=(0, 0))  # experts, and experts per token
    lit: int = field(init=False, default=0)  # light experts per token of the last route
    turned: tuple[torch.Tensor, torch.Tensor] | None = field(init=False, default=None)

    def add(self, name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Plan one more step; views and weights are given as in the file.

        :raises ValueError: the step is unknown, or does not fit the steps before it.
        """
        if name == "slot":
            (width,) = arguments
            slot = self.decoder.slot(width).slot
            self.slots.append(slot)
            self.widths[slot] = width
            return
        given, named = self.check(name, arguments, options)
        getattr(self.decoder, name)(*given, **named)

    def check(
        self, name: str, arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments and options of a step for the decoder; raises as ``add`` does."""
        if name not in STEPS:
            raise ValueError(f"unknown step {name!r}")
        given = [self._resolve(value) for value in arguments]
        named = {key: self._resolve(value) for key, value in options.items()}
        if name == "rope":
            given += self._angles()
        try:
            given, named = gather(name, given, named)
            touched = list(getattr(self, f"_{name}")(*given, **named))
        except (TypeError, AttributeError) as error:
            raise ValueError(f"step {name!r} has invalid arguments ({error})") from error
        if not all(self._within(*some) for some in touched):
            raise ValueError(f"step {name!r} exceeds its slots")
        return given, named

    def _resolve(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "view" not in value:
            return self.packed[value["weight"]]
        view = SlotView(*value["view"])
        if view == OUTPUT:
            return view
        if not 0 <= view.slot < len(self.slots):
            raise ValueError(f"there is no slot {view.slot}")
        return view._replace(slot=self.slots[view.slot])

    def _angles(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.turned is None:
            frequencies = self.packed[FREQUENCIES]
            assert isinstance(frequencies, torch.Tensor), "weights were checked before"
            self.turned = angles(frequencies, self.scaling, self.longest, polar=self.polar)
        return self.turned

    def _within(self, view: SlotView, heads: int, width: int) -> bool:
        if view.slot not in self.widths or min(view.start, view.step, width, heads) < 0:
            return False
        last = view.start + max(heads - 1, 0) * view.step
        return last + width <= self.widths[view.slot]

    # -- what each step reads and writes ---------------------------------------------------------

    def _embed(self, to: SlotView, table: PackedMatrix, _scale: float = 1.0) -> Iterator[_Touched]:
        yield to, 1, table.inputs

    def _norm(
        self,
        source: SlotView,
        to: SlotView,
        weight: torch.Tensor,
        _epsilon: float,
        parts: int = 1,
        *,
        bias: torch.Tensor | None = None,
    ) -> Iterator[_Touched]:
        if bias is not None and bias.numel() != weight.numel():
            raise ValueError("the length of a norm's bias differs from its weight's")
        yield source, parts, weight.numel()
        yield to, parts, weight.numel()

    def _linear(
        self,
        source: SlotView,
        to: SlotView,
        matrix: PackedMatrix,
        bias: torch.Tensor | None = None,
        *,
        add: bool = False,
    ) -> Iterator[_Touched]:
        del add
        if bias is not None and bias.numel() != matrix.outputs:
            raise ValueError("the length of a bias differs from its matrix's outputs")
        yield source, 1, matrix.inputs
        if to != OUTPUT:
            yield to, 1, matrix.outputs

    def _rope(
        self, at: SlotView, heads: int, cos: torch.Tensor, _sin: torch.Tensor, *, interleaved: bool
    ) -> Iterator[_Touched]:
        del interleaved
        yield at, heads, 2 * cos.shape[1]

    def _attend(
        self,
        views: AttentionViews,
        *,
        layer: int,
        heads: int,
        scale: float,
        window: int = 0,
        sinks: torch.Tensor | None = None,
    ) -> Iterator[_Touched]:
        del scale
        query, key, value, to, shared_key = views
        if window < 0 or (sinks is not None and sinks.numel() != heads):
            raise ValueError("an attend step has an invalid window, or sinks of other heads")
        shape = self.decoder.shape
        if not 0 <= layer < shape.layers or heads < 1 or heads % shape.heads:
            raise ValueError(f"layer {layer} with {heads} heads does not fit the cache")
        yield query, heads, shape.own_width + shape.shared_width
        yield key, shape.heads, shape.own_width
        yield value, shape.heads, shape.value_width
        yield to, heads, shape.value_width
        if shape.shared_width:
            if shared_key is None:
                raise ValueError("the cache needs a shared key, and the step has none")
            yield shared_key, 1, shape.shared_width

    def _route(self, logits: SlotView, router: Router) -> Iterator[_Touched]:
        experts, top_k, light = router.experts, router.top_k, router.light
        if not 0 < top_k <= experts or not 0 <= light < top_k:
            raise ValueError(f"cannot choose {top_k} of {experts} experts, {light} of them light")
        if router.groups < 1 or experts % router.groups:
            raise ValueError(f"cannot part {experts} experts into {router.groups} groups")
        values = None if router.correction is None else router.correction.numel()
        if values not in (None, experts):
            raise ValueError(f"a correction of {values} values for {experts} experts")
        if not 0 <= router.nulls < experts:
            raise ValueError(f"{router.nulls} of {experts} experts cannot be null experts")
        self.routed, self.lit = (router.true_experts, router.main), light
        yield logits, 1, experts

    def _light(
        self, source: SlotView, scaled: SlotView, to: SlotView, vectors: torch.Tensor
    ) -> Iterator[_Touched]:
        neurons_of(vectors)
        if not self.lit:
            raise ValueError("a light step has no light experts")
        for view in (source, scaled, to):
            yield view, 1, vectors.shape[2]

    def _mix(
        self, source: SlotView, to: SlotView, experts: PackedExperts, top_k: int = 0
    ) -> Iterator[_Touched]:
        if top_k and self.routed != (experts.num_experts, top_k):
            raise ValueError("a mix step has experts that were not routed to")
        yield source, 1, experts.hidden_size
        yield to, 1, experts.hidden_size

    def _keep(self, source: SlotView, width: int, _scale: float = 1.0) -> Iterator[_Touched]:
        yield source, 1, width

    def _pick(self, source: SlotView, to: SlotView) -> Iterator[_Touched]:
        width = self.widths.get(source.slot, 0)
        yield source, 1, width
        yield to, 1, width


def angles(
    frequencies: torch.Tensor, scaling: float, positions: int, *, polar: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosine and sine of every pair at every position, (positions, W) each.

    They equal the values of transformers.

    :param frequencies: (W,), radians per position.
    :param scaling: factor of cosines and sines.
    :param polar: compute them as complex numbers, as some models do.
    """
    turned = torch.arange(positions, dtype=torch.float32)[:, None] * frequencies.float()
    if polar:
        result = torch.polar(torch.ones_like(turned), turned) * scaling
        return result.real.contiguous(), result.imag.contiguous()
    return turned.cos() * scaling, turned.sin() * scaling


def angles_of(rotary: Any, positions: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the same with a rotary module of transformers."""
    places = torch.arange(positions)[None]
    result = rotary(torch.zeros(1, dtype=torch.float32), places)
    if isinstance(result, tuple):  # of a head's first half, and often of its second, the same
        half = rotary.inv_freq.numel()
        return result[0][0, :, :half].contiguous(), result[1][0, :, :half].contiguous()
    return result[0].real.contiguous(), result[0].imag.contiguous()
