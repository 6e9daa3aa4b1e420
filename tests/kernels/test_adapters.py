"""Adapters of a decoder's weights, which come with a sequence instead of with the plan."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch

from expertrag_kernels import Format, PlainExperts, cpu_experts
from expertrag_kernels.cpu_experts import ISAS
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.packed import ExpertPart, WeightUpdate
from expertrag_kernels.reference import apply_gate
from expertrag_kernels.steps import (
    OUTPUT,
    AttentionViews,
    CacheShape,
    SequenceRows,
    SlotView,
    Steps,
)
from expertrag_kernels.torch_decoder import TorchDecoder

TEXTS = (3, 1, 12, 2, 4, 1)
CHOSEN = ((0,), (), (1,), (0,), (), (2, 1))
"""The adapters of each text."""
HEADS = ((0, 70), (70, 25), (95, 64))
"""Ranges of outputs that are updated apart, as queries, keys and values are."""

Make = Callable[[CacheShape, int], Steps[Any, Any]]
IN_TORCH = partial(TorchDecoder, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every instruction set of this machine."""
    chosen: str = request.param
    monkeypatch.setattr(cpu_experts, "ISAS", (chosen,))
    return chosen


Delta = dict[str, tuple[torch.Tensor, torch.Tensor]]


class Layer:
    """A linear layer of three ranges, one that adds, a dense one; and three adapters of them."""

    def __init__(self, hidden: int = 96, inner: int = 150) -> None:
        rng = torch.Generator().manual_seed(hidden + inner)
        self.draw = partial(torch.randn, generator=rng)
        self.hidden, self.inner = hidden, inner
        self.wide = sum(count for _, count in HEADS)
        self.words = self.draw(sum(TEXTS), hidden)
        self.first = self.draw(self.wide, hidden) * hidden**-0.5
        self.bias = self.draw(self.wide)
        self.second = self.draw(hidden, self.wide) * self.wide**-0.5
        self.plain = PlainExperts(
            self.draw(1, 2 * inner, hidden) * hidden**-0.5,
            self.draw(1, hidden, inner) * inner**-0.5,
        )
        everything = ["head0", "head1", "head2", "second", "gate", "up", "down"]
        self.adapters = [
            self._delta(everything, 7),
            self._delta(["head0", "head2", "down"], 4),
            self._delta(["head1", "up"], 1),
        ]

    def _delta(self, parts: Sequence[str], rank: int) -> Delta:
        sizes = {
            "second": (self.hidden, self.wide),
            "gate": (self.inner, self.hidden),
            "up": (self.inner, self.hidden),
            "down": (self.hidden, self.inner),
            **{f"head{n}": (count, self.hidden) for n, (_, count) in enumerate(HEADS)},
        }
        return {
            part: (
                self.draw(rank, sizes[part][1]) * sizes[part][1] ** -0.5,
                self.draw(sizes[part][0], rank) * 0.5,
            )
            for part in parts
        }

    def decoder(self, make: Make, format: Format) -> tuple[Steps[Any, Any], list[Any]]:
        """Plan the layers, and convert the adapters."""
        exact = Format.F32 if format is Format.F32 else Format.BF16
        decoder = make(CacheShape(1, 1, 16, 16, format=exact), 1)
        x, y = decoder.slot(self.hidden), decoder.slot(self.hidden)
        heads, last = decoder.slot(self.wide), decoder.slot(self.hidden)
        decoder.embed(x, decoder.matrix(self.words, Format.F32))
        cos, sin = torch.ones(64, 8), torch.zeros(64, 8)
        first, second = decoder.matrix(self.first, format), decoder.matrix(self.second, format)
        decoder.linear(x, heads, first, self.bias)
        head = SlotView(heads.slot, 0, 16)
        decoder.rope(head, 1, cos, sin, interleaved=False)
        # the attention of a row to itself alone, so that picked rows narrow the batch
        views = AttentionViews(head, head, head, SlotView(y.slot, 0, 16))
        decoder.attend(views, layer=0, heads=1, scale=0.0)
        decoder.linear(heads, x, second, add=True)
        experts = decoder.experts(self.plain, format)
        decoder.mix(x, x, experts)
        decoder.pick(x, last)
        decoder.linear(last, OUTPUT, decoder.matrix(torch.eye(self.hidden), Format.F32))
        targets: dict[str, tuple[Any, int, ExpertPart | None]] = {"second": (second, 0, None)}
        targets |= {part: (experts, 0, part) for part in ExpertPart}
        targets |= {f"head{n}": (first, start, None) for n, (start, _) in enumerate(HEADS)}
        return decoder, [
            decoder.adapter(
                WeightUpdate(targets[name][0], down, up, targets[name][1], targets[name][2])
                for name, (down, up) in delta.items()
            )
            for delta in self.adapters
        ]

    def expected(self, row: int, adapters: Sequence[int]) -> torch.Tensor:
        def merged(weight: torch.Tensor, name: str) -> torch.Tensor:
            found = (self.adapters[number].get(name) for number in adapters)
            return weight + sum(lora[1] @ lora[0] for lora in found if lora)

        x = self.words[row]
        first = torch.cat(
            [
                merged(self.first[start : start + count], f"head{n}")
                for n, (start, count) in enumerate(HEADS)
            ]
        )
        x = x + merged(self.second, "second") @ (first @ x + self.bias)
        gate, up = self.plain.gate_up[0].chunk(2)
        both = merged(gate, "gate") @ x, merged(up, "up") @ x
        inner = apply_gate(*both, self.plain.activation)
        return x + merged(self.plain.down[0], "down") @ inner


def run(
    decoder: Steps[Any, Any],
    adapters: Sequence[Sequence[Any]],
    only: int | None = None,
    picked: Sequence[int] | None = None,
) -> torch.Tensor:
    """Run all texts together, each with its adapters, or one alone; the logits of picked rows."""
    texts: list[SequenceRows] = []
    tokens: list[int] = []
    positions: list[int] = []
    at = start = 0
    for number, (length, own) in enumerate(zip(TEXTS, adapters, strict=True)):
        if only is None or number == only:
            texts.append(SequenceRows(at, at + length, torch.tensor([0]), adapters=own))
            tokens += range(start, start + length)
            positions += range(length)
            at += length
        start += length
    rows = torch.arange(at) if picked is None else torch.tensor(picked)
    return decoder.run(torch.tensor(tokens), torch.tensor(positions), texts, rows)[0]


NONE: list[tuple[Any, ...]] = [()] * len(TEXTS)


def chosen(adapters: Sequence[Any]) -> list[list[Any]]:
    return [[adapters[number] for number in own] for own in CHOSEN]


def of_rows() -> list[tuple[int, ...]]:
    return [own for length, own in zip(TEXTS, CHOSEN, strict=True) for _ in range(length)]


@pytest.mark.parametrize(("hidden", "inner"), [(64, 96), (40, 50), (160, 200)])
@pytest.mark.parametrize("make", [Decoder, IN_TORCH])
def test_rows_have_the_updates_of_their_adapter(
    isa: str, make: Make, hidden: int, inner: int
) -> None:
    layer = Layer(hidden, inner)
    decoder, adapters = layer.decoder(make, Format.F32)
    found = run(decoder, chosen(adapters))
    for row, own in enumerate(of_rows()):
        torch.testing.assert_close(found[row], layer.expected(row, own), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("format", list(Format))
def test_rows_without_an_adapter_are_the_base_bit_for_bit(isa: str, format: Format) -> None:
    decoder, adapters = Layer().decoder(Decoder, format)
    none, some = run(decoder, NONE), run(decoder, chosen(adapters))
    rows = [row for row, own in enumerate(of_rows()) if not own]
    assert torch.equal(some[rows], none[rows])
    others = [row for row, own in enumerate(of_rows()) if own]
    assert not (some[others] == none[others]).all(1).any()


def test_in_torch_too() -> None:
    decoder, adapters = Layer().decoder(IN_TORCH, Format.F32)
    none, some = run(decoder, NONE), run(decoder, chosen(adapters))
    rows = [row for row, own in enumerate(of_rows()) if not own]
    assert torch.equal(some[rows], none[rows])


@pytest.mark.parametrize("format", [Format.BF16, Format.INT8, Format.INT4])
def test_updates_are_in_bfloat16_whatever_the_base_is_in(isa: str, format: Format) -> None:
    layer = Layer()
    for weight in (layer.first, layer.second, layer.plain.gate_up, layer.plain.down):
        weight.mul_(0.0)  # the same in any format
    found, exact = (
        run(decoder, chosen(adapters))
        for decoder, adapters in (layer.decoder(Decoder, some) for some in (format, Format.F32))
    )
    words = layer.words + layer.second @ layer.bias
    rows = [row for row, own in enumerate(of_rows()) if own]
    error = (found - exact)[rows].norm() / (exact - words)[rows].norm()
    assert 1e-4 < error < 0.03


@pytest.mark.parametrize("format", list(Format))
def test_a_row_is_the_same_alone(isa: str, format: Format) -> None:
    decoder, adapters = Layer().decoder(Decoder, format)
    together = run(decoder, chosen(adapters))
    alone = [run(decoder, chosen(adapters), number) for number in range(len(TEXTS))]
    assert torch.equal(together, torch.cat(alone))


def test_picked_rows_keep_their_adapter(isa: str) -> None:
    decoder, adapters = Layer().decoder(Decoder, Format.BF16)
    together = run(decoder, chosen(adapters))
    picked = [20, 2, 3, 11]
    assert torch.equal(run(decoder, chosen(adapters), picked=picked), together[picked])


def test_adapters_come_and_go(isa: str) -> None:
    layer = Layer()
    decoder, adapters = layer.decoder(Decoder, Format.F32)
    before = run(decoder, chosen(adapters))
    gone = weakref.ref(adapters[0])
    del adapters[0]
    gc.collect()
    assert gone() is None
    kept = run(decoder, [(), (), adapters[:1], (), (), adapters[::-1]])
    rows = [row for row, own in enumerate(of_rows()) if 0 not in own]
    assert torch.equal(kept[rows], before[rows])


@pytest.mark.parametrize("make", [Decoder, IN_TORCH])
def test_updates_that_do_not_fit_are_rejected(make: Make) -> None:
    layer = Layer()
    decoder = make(CacheShape(1, 1, 16, 16, format=Format.F32), 1)
    matrix = decoder.matrix(layer.second, Format.F32)
    experts = decoder.experts(layer.plain, Format.F32)
    down, up = torch.randn(4, 159), torch.randn(96, 4)
    for wrong in (
        WeightUpdate(matrix, down, up, 1),
        WeightUpdate(matrix, down[:, :-1], up),
        WeightUpdate(matrix, down[:0], up[:, :0]),
        WeightUpdate(matrix, down[:3], up),
        WeightUpdate(experts, down, up, part=ExpertPart.DOWN),
        WeightUpdate(experts, down, up, part=ExpertPart.GATE),
    ):
        with pytest.raises(ValueError, match=r"updates of \(\d+, \d+\) weights must be"):
            decoder.adapter([wrong])
