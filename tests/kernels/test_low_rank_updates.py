"""Low-rank updates of the only expert of a layer, chosen per sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch

from expertrag_kernels import Format, LowRankUpdates, PlainExperts, cpu_experts
from expertrag_kernels.cpu_experts import ISAS
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.reference import gated
from expertrag_kernels.steps import OUTPUT, CacheShape, SequenceRows, Steps
from expertrag_kernels.torch_decoder import TorchDecoder

EXPERTS, RANK = 4, 7
TEXTS = (3, 1, 5, 2, 4, 1)
CHOSEN = (0, 1, 2, 3, -1, 1)

Make = Callable[[CacheShape, int], Steps[Any, Any]]


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every instruction set of this machine."""
    chosen: str = request.param
    monkeypatch.setattr(cpu_experts, "ISAS", (chosen,))
    return chosen


class Layer:
    """A dense layer with updates; the last of the experts uses none."""

    def __init__(self, hidden: int, inner: int) -> None:
        rng = torch.Generator().manual_seed(hidden + inner)
        draw = partial(torch.randn, generator=rng)
        self.words = draw(sum(TEXTS), hidden)
        self.plain = PlainExperts(
            draw(1, 2 * inner, hidden) * hidden**-0.5, draw(1, hidden, inner) * inner**-0.5
        )
        used = torch.tensor([[1, 1, 0, 0, 1, 0, 0], [1, 0, 1, 0, 1, 1, 0], [0] * 6 + [1]])
        used = torch.cat([used, torch.zeros(1, RANK)])
        self.gate, self.up = (
            LowRankUpdates(draw(RANK, hidden) * hidden**-0.5, draw(inner, RANK) * 0.3, own)
            for own in (used, used.roll(1, 1))
        )
        self.down = LowRankUpdates(
            draw(RANK, inner) * inner**-0.5, draw(hidden, RANK) * 0.3, used.flip(0)[[3, 1, 2, 0]]
        )

    def decoder(self, make: Make, format: Format, *, updated: bool = True) -> Steps[Any, Any]:
        """Plan the layer: the output of a row is x + F(x), x being its token's word."""
        exact = Format.F32 if format is Format.F32 else Format.BF16
        decoder = make(CacheShape(1, 1, 32, 32, format=exact), 1)
        hidden = self.words.shape[1]
        x, y = decoder.slot(hidden), decoder.slot(hidden)
        table = decoder.matrix(self.words, Format.F32)
        decoder.embed(x, table)
        decoder.embed(y, table)
        decoder.rope(x, 0, torch.ones(64, 1), torch.zeros(64, 1), interleaved=False)
        experts = decoder.experts(self.plain, format)
        if updated:
            decoder.mix_updated(x, y, experts, self.gate, self.up, self.down)
        else:
            decoder.mix(x, y, experts)
        decoder.linear(y, OUTPUT, decoder.matrix(torch.eye(hidden), Format.F32))
        return decoder

    def expected(self, row: int, expert: int) -> torch.Tensor:
        x = self.words[row]
        weights = (*self.plain.gate_up[0].chunk(2), self.plain.down[0])
        gate, up, down = (
            weight + update.up * update.used[expert] @ update.down if expert >= 0 else weight
            for weight, update in zip(weights, (self.gate, self.up, self.down), strict=True)
        )
        return x + down @ gated(gate @ x, up @ x, self.plain.activation)


def run(decoder: Steps[Any, Any], chosen: Sequence[int], only: int | None = None) -> torch.Tensor:
    """Run all texts together, each with its expert, or one alone."""
    texts: list[SequenceRows] = []
    tokens: list[int] = []
    positions: list[int] = []
    at = start = 0
    for number, (length, expert) in enumerate(zip(TEXTS, chosen, strict=True)):
        if only is None or number == only:
            texts.append(SequenceRows(at, at + length, torch.tensor([0]), expert))
            tokens += range(start, start + length)
            positions += range(length)
            at += length
        start += length
    rows = torch.arange(at)
    return decoder.run(torch.tensor(tokens), torch.tensor(positions), texts, rows)[0]


IN_TORCH = partial(TorchDecoder, device=torch.device("cpu"), dtype=torch.float32)


@pytest.mark.parametrize(("hidden", "inner"), [(64, 96), (40, 50), (160, 200)])
@pytest.mark.parametrize("make", [Decoder, IN_TORCH])
def test_rows_have_the_updates_of_their_expert(
    isa: str, make: Make, hidden: int, inner: int
) -> None:
    layer = Layer(hidden, inner)
    found = run(layer.decoder(make, Format.F32), CHOSEN)
    row = 0
    for length, expert in zip(TEXTS, CHOSEN, strict=True):
        for _ in range(length):
            torch.testing.assert_close(
                found[row], layer.expected(row, expert), atol=1e-5, rtol=1e-5
            )
            row += 1


@pytest.mark.parametrize("format", list(Format))
def test_without_an_update_it_is_the_layer_bit_for_bit(isa: str, format: Format) -> None:
    layer = Layer(96, 160)
    updated, plain = (layer.decoder(Decoder, format, updated=some) for some in (True, False))
    none = run(plain, [-1] * len(TEXTS))
    for without in (-1, EXPERTS - 1):
        assert torch.equal(run(updated, [without] * len(TEXTS)), none)
    some = run(updated, CHOSEN)
    rows = [row for row, expert in enumerate(_experts_of_rows()) if expert in (-1, EXPERTS - 1)]
    assert torch.equal(some[rows], none[rows])
    assert not torch.equal(some, none)


def test_in_torch_too() -> None:
    layer = Layer(96, 160)
    updated, plain = (layer.decoder(IN_TORCH, Format.F32, updated=some) for some in (True, False))
    for without in (-1, EXPERTS - 1):
        found = run(updated, [without] * len(TEXTS))
        assert torch.equal(found, run(plain, [-1] * len(TEXTS)))


@pytest.mark.parametrize("format", list(Format))
def test_a_row_is_the_same_alone(isa: str, format: Format) -> None:
    decoder = Layer(96, 160).decoder(Decoder, format)
    together = run(decoder, CHOSEN)
    alone = torch.cat([run(decoder, CHOSEN, number) for number in range(len(TEXTS))])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("format", [Format.INT8, Format.INT4])
def test_updates_are_not_quantised(isa: str, format: Format) -> None:
    layer = Layer(96, 160)
    gate_up, down = layer.plain.gate_up, layer.plain.down
    zeros = torch.zeros_like(gate_up), torch.zeros_like(down)
    layer.plain = PlainExperts(*zeros)  # the same in any format
    found, exact = (
        run(layer.decoder(Decoder, some), CHOSEN) - layer.words for some in (format, Format.F32)
    )
    assert (found - exact).norm() / exact.norm() < 0.01


@pytest.mark.parametrize("make", [Decoder, IN_TORCH])
def test_updates_that_do_not_fit_are_rejected(make: Make) -> None:
    layer = Layer(64, 96)
    layer.down = layer.up
    with pytest.raises(ValueError, match=r"updates of \(64, 96\) weights must be \(7, 96\)"):
        layer.decoder(make, Format.F32)


@pytest.mark.parametrize("make", [Decoder, IN_TORCH])
def test_experts_that_do_not_exist_are_rejected(make: Make) -> None:
    decoder = Layer(64, 96).decoder(make, Format.F32)
    with pytest.raises(ValueError, match=f"experts must be from 0 to {EXPERTS - 1}; got 4"):
        run(decoder, [4, *CHOSEN[1:]])


def _experts_of_rows() -> list[int]:
    return [expert for length, expert in zip(TEXTS, CHOSEN, strict=True) for _ in range(length)]
