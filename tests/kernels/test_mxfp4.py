"""Weights in MXFP4: every code and exponent, as published and rounded, in every instruction set."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from expertrag_kernels import (
    Activation,
    Format,
    Mxfp4Experts,
    PlainExperts,
    cpu_experts,
    pack,
    unpack,
)
from expertrag_kernels.cpu_experts import ISAS, pack_on, run_on
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.layout import layer_bytes, pack_experts, pack_published
from expertrag_kernels.steps import OUTPUT, CacheShape, SequenceRows, SlotView

# the e2m1 numbers of OCP Microscaling Formats 1.0, section 5.3.3, by their codes
_VALUES = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0]


def _published(experts: int, hidden: int, inner: int, *, biased: bool = False) -> Mxfp4Experts:
    """Random blocks, their exponents near 2^-4."""
    draw = torch.Generator().manual_seed(hidden + inner)

    def blocks(*shape: int) -> torch.Tensor:
        codes = torch.randint(256, (*shape, 17), generator=draw, dtype=torch.uint8)
        codes[..., 16] = torch.randint(121, 126, shape, generator=draw, dtype=torch.uint8)
        return codes

    def bias(*shape: int) -> torch.Tensor | None:
        return torch.randn(shape, generator=draw) if biased else None

    return Mxfp4Experts(
        blocks(experts, 2 * inner, hidden // 32),
        blocks(experts, hidden, inner // 32),
        Activation.CLAMPED_SWIGLU if biased else Activation.SILU,
        bias(experts, 2 * inner),
        bias(experts, hidden),
    )


def _read(blocks: torch.Tensor) -> torch.Tensor:
    """What blocks (..., G, 17) represent, one by one, in float64."""
    found = torch.empty(*blocks.shape[:-1], 32, dtype=torch.float64)
    for to, block in zip(found.view(-1, 32), blocks.reshape(-1, 17).tolist(), strict=True):
        for place, both in enumerate(block[:16]):
            for half, code in enumerate((both & 15, both >> 4)):
                to[2 * place + half] = _VALUES[code] * 2.0 ** (block[16] - 127)
    return found.flatten(-2)


def _tokens(
    count: int, experts: int, hidden: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(count)
    weights, index = torch.rand(count, experts, generator=draw).topk(2)
    return torch.randn(count, hidden, generator=draw), index, weights


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("hidden", "inner"), [(32, 32), (96, 160), (160, 64)])
def test_published_blocks_keep_their_values(hidden: int, inner: int, biased: bool) -> None:
    published = _published(3, hidden, inner, biased=biased)
    back = unpack(pack_published(published))
    assert torch.equal(back.gate_up.double(), _read(published.gate_up))
    assert torch.equal(back.down.double(), _read(published.down))
    for name in ("gate_up_bias", "down_bias") if biased else ():
        assert torch.equal(getattr(back, name), getattr(published, name))


@pytest.mark.parametrize("isa", ISAS)
def test_every_code_and_exponent(isa: str) -> None:
    """Exponents up to 252: beyond, codes of 4 and 6 are not float32."""
    published = _published(8, 32, 32)
    for codes in (published.gate_up, published.down):
        codes.view(-1, 17)[:256, 0] = torch.arange(256, dtype=torch.uint8)
        codes[..., 16] = torch.arange(codes[..., 16].numel()).view(codes.shape[:-1]) % 253
    back = unpack(pack_published(published))
    assert torch.equal(back.gate_up.double(), _read(published.gate_up))
    assert torch.equal(back.down.double(), _read(published.down))
    # numbers that are in MXFP4 are found again, also where the greatest is no 4 or 6
    for again in map(unpack, (pack_experts(back, Format.MXFP4), pack_on(isa, back, Format.MXFP4))):
        assert torch.equal(again.gate_up, back.gate_up) and torch.equal(again.down, back.down)


@pytest.mark.parametrize("isa", ISAS)
def test_products_with_every_code_are_exact(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one 127 each, which 8 bits hold exactly, alone and together."""
    monkeypatch.setattr(cpu_experts, "ISAS", (isa,))
    width = 96
    values = torch.tensor(_VALUES * 6).repeat(2 * width, 1)  # [192, 96]
    for row in range(2 * width):
        values[row] = values[row].roll(row)
    exponents = torch.tensor([0, 1, 2, 3, 100, 127, 180, 235, 236]).repeat(64)[: 2 * width * 3]
    weight = (values.view(-1, 32) * 2.0 ** (exponents[:, None].double() - 127)).float()
    weight = weight.view(2 * width, width)
    d = Decoder(CacheShape(1, 1, 8, 8, format=Format.F32), 4)
    x, key, last = d.slot(width), d.slot(8), d.slot(width)
    d.embed(x, d.matrix(127 * torch.eye(width), Format.F32))
    angles = torch.zeros(192, 4)
    d.rope(SlotView(key.slot, 0, 8), 1, angles, angles, interleaved=False)  # positions
    d.pick(x, last)
    d.linear(last, OUTPUT, d.matrix(weight, Format.MXFP4))
    for count in (1, 3, width):
        tokens = torch.arange(count)
        texts = [SequenceRows(0, count, torch.arange(4))]
        found, _ = d.run(tokens, tokens, texts, tokens)
        assert torch.equal(found, 127 * weight.T[:count])


@pytest.mark.parametrize("isa", ISAS)
def test_published_and_rounded_blocks_give_the_same_bits(isa: str) -> None:
    published = _published(4, 96, 160, biased=True)
    own = pack_published(published)
    plain = unpack(own)
    x, index, weights = _tokens(30, 4, 96)
    wanted = run_on(isa, x, index, weights, pack(plain, Format.MXFP4))
    assert torch.equal(run_on(isa, x, index, weights, own), wanted)


def test_blocks_are_packed_by_the_public_function() -> None:
    published = _published(2, 64, 32)
    for format in (None, "mxfp4"):
        assert torch.equal(pack(published, format).data, pack_published(published).data)
    with pytest.raises(ValueError, match="as they are, not in int4"):
        pack(published, "int4")


def test_a_weight_takes_no_more_than_as_published() -> None:
    assert 8 * layer_bytes(Format.MXFP4, 1, 2880, 2880) == 4.25 * 3 * 2880 * 2880


def test_other_weights_are_rounded_to_the_nearest_code() -> None:
    """By hand: the exponent is that of 8 / 2 = 4; ties go to the even code; 7.9 gets 6."""
    given = torch.tensor([[7.9, 0.25, 0.26, -0.75, 1.25, 1.3, -1.75, 2.5, 3.5, 5.0, -5.1, 0.0]])
    wanted = torch.tensor([[6.0, 0.0, 0.5, -1.0, 1.0, 1.5, -2.0, 2.0, 4.0, 4.0, -6.0, 0.0]])
    down = torch.zeros(1, 32, 32)
    down[0, 0, :12], down[0, 1, :12] = given / 1024, given * 3e-39
    back = unpack(pack(PlainExperts(torch.zeros(1, 64, 32), down), Format.MXFP4)).down[0]
    assert torch.equal(back[0, :12], wanted[0] / 1024)
    assert back[1].abs().max() <= 6 * 2.0**-127  # the least exponent
    assert not back[2:].any()


def test_rejects_what_is_no_number_and_blocks_that_do_not_fit() -> None:
    published = _published(2, 64, 32)
    published.down[1, 5, 0, 16] = 255
    with pytest.raises(ValueError, match="not finite"):
        pack_published(published)
    for wrong in (
        replace(published, down=published.down[:, :32]),
        replace(published, gate_up=published.gate_up[..., :16]),
    ):
        with pytest.raises(ValueError, match=r"blocks must be \(E, 2I, H/32, 17\)"):
            pack_published(wrong)
