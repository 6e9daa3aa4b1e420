"""Light experts in C++ and in torch, against their equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_decoder import Make

from expertrag_kernels import Format, PlainExperts, Routing
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.packed import Activation
from expertrag_kernels.router import Router
from expertrag_kernels.routing import AS_THE_MODEL
from expertrag_kernels.steps import OUTPUT, CacheShape, SequenceRows, SlotView, Steps

# a prime number of experts, and a width that fills no vector of 16
_EXPERTS, _TOP_K, _LIGHT, _HIDDEN, _INNER, _TOKENS = 7, 4, 2, 37, 24, 90
_NEURONS = 2


class _Layer:
    """The weights of a mixture with light experts, and what it makes of rows x (T, H)."""

    def __init__(self, nulls: int = 0, scale: float = 1.0, neurons: int = _NEURONS) -> None:
        generator = torch.Generator().manual_seed(3)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator)

        self.x = normal(_TOKENS, _HIDDEN)
        self.router = normal(_EXPERTS + nulls, _HIDDEN) * 0.3
        self.gate_up = normal(_EXPERTS, 2 * _INNER, _HIDDEN) * 0.2
        self.down = normal(_EXPERTS, _HIDDEN, _INNER) * 0.2
        self.vectors = normal(_EXPERTS, 3 + 3 * neurons, _HIDDEN) * scale

    def decoder(self, make: Make, **options: Any) -> Steps[Any, Any]:
        """A decoder that returns what a token's experts add."""
        d = make(CacheShape(1, 1, 8, 8, format=Format.F32), 2)
        x, read, found, last = (d.slot(_HIDDEN) for _ in range(4))
        key, scores = d.slot(8), d.slot(len(self.router))
        d.embed(x, d.matrix(self.x, Format.F32))
        angles = torch.zeros(_TOKENS, 4)
        d.rope(SlotView(key.slot, 0, 8), 1, angles.cos(), angles.sin(), interleaved=False)
        d.linear(x, scores, d.matrix(self.router, Format.F32))
        d.linear(x, found, d.matrix(torch.zeros(_HIDDEN, _HIDDEN), Format.F32))
        d.route(scores, Router(len(self.router), _TOP_K, **options))
        main = _TOP_K - options.get("light", 0)
        if main < _TOP_K:
            d.light(x, read, found, self.vectors)
        experts = PlainExperts(self.gate_up, self.down, Activation.SILU)
        d.mix(x if main == _TOP_K else read, found, d.experts(experts, Format.F32), main)
        d.pick(found, last)
        d.linear(last, OUTPUT, d.matrix(torch.eye(_HIDDEN), Format.F32))
        return d

    def expected(self, weights: torch.Tensor, index: torch.Tensor, light: int) -> torch.Tensor:
        """The equations of light.py, token by token.

        :param weights: of the chosen experts (T, K); a weight of 0 is of none.
        """
        rows = []
        for x, own, chosen in zip(self.x, weights.tolist(), index.tolist(), strict=True):
            pairs = sorted(zip(own, chosen, strict=True), key=lambda pair: -pair[0])
            main, others = pairs[: _TOP_K - light], pairs[_TOP_K - light :]
            scale, added = torch.ones(_HIDDEN), torch.zeros(_HIDDEN)
            for weight, expert in others:
                if weight and expert < _EXPERTS:
                    s, b, d = self.vectors[expert, :3]
                    gate, up, down = self.vectors[expert, 3:].chunk(3)
                    scale += weight * s
                    added += weight * (b + d * x + (F.silu(gate @ x) * (up @ x)) @ down)
            for weight, expert in main:
                if weight and expert < _EXPERTS:
                    gate, up = (self.gate_up[expert] @ (x * scale)).chunk(2)
                    added += weight * (self.down[expert] @ (F.silu(gate) * up))
            rows.append(added)
        return torch.stack(rows)


def _run(
    decoder: Steps[Any, Any], routing: Routing = AS_THE_MODEL, expert: int = -1
) -> torch.Tensor:
    places = torch.arange(_TOKENS)
    texts = [SequenceRows(0, _TOKENS, torch.arange(2), expert=expert, routing=routing)]
    return decoder.run(places, places, texts, places)[0]


def _close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("light", [1, _LIGHT, _TOP_K - 1])
@pytest.mark.parametrize("normalise", [True, False])
def test_light_experts_follow_their_equations(make: Make, light: int, normalise: bool) -> None:
    layer = _Layer()
    decoder = layer.decoder(make, light=light, normalise=normalise)
    weights, index = (layer.x @ layer.router.T).softmax(1).topk(_TOP_K)
    weights = weights / weights.sum(1, keepdim=True) if normalise else weights
    _close(_run(decoder), layer.expected(weights, index, light))
    assert decoder.experts_used == (_TOKENS * (_TOP_K - light), _TOKENS)


def test_weights_decide_where_a_correction_chooses(make: Make) -> None:
    layer, correction = _Layer(), torch.linspace(-0.5, 0.5, _EXPERTS)
    decoder = layer.decoder(make, light=_LIGHT, correction=correction)
    shares = (layer.x @ layer.router.T).sigmoid()
    index = (shares + correction).topk(_TOP_K).indices
    weights = shares.gather(1, index)
    assert (weights.diff(dim=1) > 0).any(1).float().mean() > 0.5  # another order than the choice
    _close(_run(decoder), layer.expected(weights, index, _LIGHT))


def test_null_experts_are_no_light_experts(make: Make) -> None:
    layer = _Layer(nulls=3)
    decoder = layer.decoder(make, light=_LIGHT, nulls=3)
    weights, index = (layer.x @ layer.router.T).softmax(1).topk(_TOP_K)
    assert (index[:, -_LIGHT:] >= _EXPERTS).any() and (index[:, 0] >= _EXPERTS).any()
    _close(_run(decoder), layer.expected(weights, index, _LIGHT))
    main = index[:, : _TOP_K - _LIGHT]
    assert decoder.experts_used == (int((main < _EXPERTS).sum()), _TOKENS)


def test_policies_drop_light_experts_first(make: Make) -> None:
    layer = _Layer()
    decoder = layer.decoder(make, light=_LIGHT)
    weights, index = (layer.x @ layer.router.T).softmax(1).topk(_TOP_K)
    for most in (1, 2, 3):
        kept = weights * (torch.arange(_TOP_K) < most)
        _close(_run(decoder, Routing(top_k=most)), layer.expected(kept, index, _LIGHT))


def test_a_text_with_its_own_expert_has_no_light_ones(make: Make) -> None:
    layer = _Layer()
    decoder = layer.decoder(make, light=_LIGHT)
    only = torch.tensor([[1.0, 0, 0, 0]]).expand(_TOKENS, -1)
    index = torch.full((_TOKENS, _TOP_K), 5)
    _close(_run(decoder, expert=5), layer.expected(only, index, _LIGHT))


def test_vectors_of_zero_change_no_bit(make: Make) -> None:
    layer = _Layer(scale=0.0)
    dropped = _run(layer.decoder(make), Routing(top_k=_TOP_K - _LIGHT))
    assert torch.equal(_run(layer.decoder(make, light=_LIGHT)), dropped)


def test_a_row_is_the_same_in_any_batch() -> None:
    decoder = _Layer().decoder(Decoder, light=_LIGHT)
    found, some = _run(decoder), torch.tensor([70, 3, 89])
    texts = [SequenceRows(0, 3, torch.arange(2))]
    places = torch.arange(3)
    assert torch.equal(decoder.run(some, places, texts, places)[0], found[some])
