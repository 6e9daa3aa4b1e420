"""The compiled encoder against torch: results, batches, layers in parts, and bad input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from expertrag_kernels.encoder import (
    ISAS,
    ChosenExperts,
    DenseWeights,
    Encoder,
    EncoderShape,
    NormWeights,
)
from expertrag_kernels.linear import LowRankExperts

SHAPES = [EncoderShape(64, 96, 2, 1e-12), EncoderShape(128, 160, 2, 1e-5)]
LENGTHS = (1, 2, 15, 16, 17, 31, 33, 70, 300)
WORDS, POSITIONS, EXPERTS, RANK, LAYERS = 50, 320, 3, 5, 3

pytestmark = pytest.mark.skipif(not ISAS, reason="the processor has no bfloat16")


@dataclass(frozen=True)
class Layer:
    """Weights of a layer, in the order in which the encoder takes them."""

    query_key_value: DenseWeights
    attention_output: DenseWeights
    after_attention: NormWeights
    up: DenseWeights
    down: DenseWeights
    after_down: NormWeights


class Reference:
    """The same encoder in torch, in float32, of weights that bfloat16 represents."""

    def __init__(self, shape: EncoderShape) -> None:
        self.shape = shape
        self._random = torch.Generator().manual_seed(3)
        hidden, inner = shape.hidden, shape.inner
        self.words = self._made(WORDS, hidden, scale=1.0)
        self.positions = self._made(POSITIONS, hidden, scale=0.3)
        self.norm = self._norm()
        self.layers = [
            Layer(
                self._dense(3 * hidden, hidden),
                self._dense(hidden, hidden),
                self._norm(),
                self._dense(inner, hidden, experts=number > 0),
                self._dense(hidden, inner, experts=number > 0),
                self._norm(),
            )
            for number in range(LAYERS)
        ]

    def _made(self, *shape: int, scale: float = 0.2) -> torch.Tensor:
        values = torch.randn(shape, generator=self._random) * scale
        return values.bfloat16().float()

    def _dense(self, outputs: int, inputs: int, *, experts: bool = False) -> DenseWeights:
        down, up = self._made(EXPERTS, RANK, inputs), self._made(EXPERTS, outputs, RANK, scale=0.5)
        chosen = LowRankExperts(down, up) if experts else None
        weight = self._made(outputs, inputs, scale=inputs**-0.5)
        return DenseWeights(weight, self._made(outputs), chosen)

    def _norm(self) -> NormWeights:
        return NormWeights(1 + self._made(self.shape.hidden), self._made(self.shape.hidden))

    def compiled(self) -> Encoder:
        encoder = Encoder(self.shape, self.words, self.positions, self.norm)
        for layer in self.layers:
            encoder.add_layer(
                layer.query_key_value,
                layer.attention_output,
                layer.after_attention,
                layer.up,
                layer.down,
                layer.after_down,
            )
        return encoder

    def states(self, text: Sequence[int], chosen: Sequence[tuple[int, float]]) -> torch.Tensor:
        """States (L, H) of one text by its experts and their weights."""
        x = self._normed(self.words[list(text)] + self.positions[: len(text)], self.norm)
        for layer in self.layers:
            query, key, value = (
                part.unflatten(-1, (self.shape.heads, -1)).transpose(0, 1)
                for part in self._apply(layer.query_key_value, x, chosen).chunk(3, dim=-1)
            )
            seen = F.scaled_dot_product_attention(query, key, value).transpose(0, 1).flatten(1)
            x = self._normed(
                x + self._apply(layer.attention_output, seen, chosen), layer.after_attention
            )
            inner = F.gelu(self._apply(layer.up, x, chosen))
            x = self._normed(x + self._apply(layer.down, inner, chosen), layer.after_down)
        return x

    def _apply(
        self, dense: DenseWeights, x: torch.Tensor, chosen: Sequence[tuple[int, float]]
    ) -> torch.Tensor:
        out = F.linear(x, dense.weight, dense.bias)
        for expert, weight in chosen:
            if dense.experts is not None and expert < EXPERTS:
                narrow = F.linear(x, dense.experts.down[expert])
                out = out + weight * F.linear(narrow, dense.experts.up[expert])
        return out

    def _normed(self, x: torch.Tensor, norm: NormWeights) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, self.shape.epsilon)


def texts() -> list[list[int]]:
    random = np.random.default_rng(5)
    return [random.integers(0, WORDS, length).tolist() for length in LENGTHS]


def experts() -> ChosenExperts:
    index = np.array([[number % (EXPERTS + 1), EXPERTS - 1] for number in range(len(LENGTHS))])
    weights = np.array([[0.75, 0.25]] * len(LENGTHS), np.float32)
    index[0] = EXPERTS  # the base model alone
    return ChosenExperts(index, weights)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES)
def test_states_and_means_are_those_of_torch(isa: str, shape: EncoderShape) -> None:
    reference, chosen = Reference(shape), experts()
    states, means = reference.compiled().run(texts(), chosen, isa=isa)
    start = 0
    for number, text in enumerate(texts()):
        pairs = list(
            zip(chosen.index[number].tolist(), chosen.weights[number].tolist(), strict=True)
        )
        wanted = reference.states(text, pairs)
        found = torch.from_numpy(states[start : start + len(text)])
        start += len(text)
        assert F.cosine_similarity(found, wanted).min() > 0.9995
        assert (found - wanted).abs().max() < 0.1
        assert np.allclose(means[number], found.mean(dim=0), atol=1e-5)
    assert start == len(states)


@pytest.mark.parametrize("isa", ISAS)
def test_a_text_is_the_same_alone_and_in_any_batch(isa: str) -> None:
    encoder, chosen = Reference(SHAPES[0]).compiled(), experts()
    means = encoder.run(texts(), chosen, isa=isa)[1]
    for number, text in enumerate(texts()):
        own = ChosenExperts(chosen.index[number : number + 1], chosen.weights[number : number + 1])
        assert np.array_equal(encoder.run([text], own, isa=isa)[1][0], means[number])
    turned = ChosenExperts(chosen.index[::-1].copy(), chosen.weights[::-1].copy())
    assert np.array_equal(encoder.run(texts()[::-1], turned, isa=isa)[1][::-1], means)


@pytest.mark.parametrize("isa", ISAS)
def test_layers_in_parts_give_the_same_bits(isa: str) -> None:
    encoder, chosen = Reference(SHAPES[0]).compiled(), experts()
    assert encoder.layers == LAYERS
    whole = encoder.run(texts(), chosen, isa=isa)
    below, pooled = encoder.run(texts(), last=1, isa=isa)
    assert not np.array_equal(pooled, whole[1])
    states, means = encoder.run(texts(), chosen, states=below, first=1, isa=isa)
    assert np.array_equal(states, whole[0]) and np.array_equal(means, whole[1])


def test_no_texts_are_no_vectors() -> None:
    states, means = Reference(SHAPES[0]).compiled().run([])
    assert states.shape == means.shape == (0, SHAPES[0].hidden)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([], f"1 to {POSITIONS} tokens"),
        ([1] * (POSITIONS + 1), f"1 to {POSITIONS} tokens"),
        ([WORDS], f"0 to {WORDS - 1}"),
        ([-1], f"0 to {WORDS - 1}"),
    ],
)
def test_bad_texts_are_refused(text: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reference(SHAPES[0]).compiled().run([[1, 2], text])


@pytest.mark.parametrize("index", [[[-1]], [[0], [0]], [[0, 0]]])
def test_experts_of_other_texts_are_refused(index: list[list[int]]) -> None:
    chosen = ChosenExperts(np.array(index), np.ones((1, 1), np.float32))
    with pytest.raises(ValueError, match="for each text"):
        Reference(SHAPES[0]).compiled().run([[1, 2]], chosen)


@pytest.mark.parametrize(
    "shape",
    [
        EncoderShape(64, 100, 2, 1e-12),
        EncoderShape(64, 96, 4, 1e-12),  # heads of 16
        EncoderShape(96, 96, 5, 1e-12),
    ],
)
def test_other_sizes_are_not_supported(shape: EncoderShape) -> None:
    assert not shape.is_supported
    words = torch.zeros(2, shape.hidden)
    norm = NormWeights(words[0], words[0])
    with pytest.raises(ValueError, match="multiples of 32"):
        Encoder(shape, words, words, norm)
    assert all(supported.is_supported for supported in SHAPES)
