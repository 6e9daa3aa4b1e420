"""Experts with biases, and the clamped SwiGLU of gpt-oss, in every format and instruction set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from expertrag_kernels import (
    Activation,
    Format,
    PackedExperts,
    PlainExperts,
    ScaledExperts,
    fused_experts,
    load_packed,
    pack,
    save_packed,
)
from expertrag_kernels.cpu_experts import ISAS, pack_on, run_on
from expertrag_kernels.layout import matrices, pack_experts, unpack
from expertrag_kernels.reference import reference_experts

# against experts that have the packed weights: what is left is the rounding of activations
_MOST = {
    Format.F32: 1e-5,
    Format.BF16: 0.005,
    Format.INT8: 0.02,
    Format.INT4: 0.03,
    Format.MXFP4: 0.02,
}
_SHAPES = [(1, 4, 2, 64, 96), (40, 5, 3, 33, 71), (13, 1, 1, 160, 290), (3, 2, 1, 1, 1)]


def _plain(experts: int, hidden: int, inner: int) -> PlainExperts:
    draw = torch.Generator().manual_seed(experts + hidden)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    return PlainExperts(
        numbers(experts, 2 * inner, hidden) * 3 / hidden**0.5,  # beyond the limits at times
        numbers(experts, hidden, inner) / inner**0.5,
        Activation.CLAMPED_SWIGLU,
        numbers(experts, 2 * inner),
        numbers(experts, hidden),
    )


def _tokens(
    tokens: int, experts: int, top_k: int, hidden: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(tokens)
    weights, index = torch.rand(tokens, experts, generator=draw).topk(top_k)
    return torch.randn(tokens, hidden, generator=draw), index, weights


def _written_out(
    x: torch.Tensor, index: torch.Tensor, weights: torch.Tensor, plain: PlainExperts
) -> torch.Tensor:
    """The formula, token by token, in float64."""
    assert plain.gate_up_bias is not None and plain.down_bias is not None
    out = torch.zeros(x.shape, dtype=torch.float64)
    for row, (experts, shares) in enumerate(zip(index.tolist(), weights.tolist(), strict=True)):
        for expert, share in zip(experts, shares, strict=True):
            both = plain.gate_up[expert].double() @ x[row].double()
            gate, up = (both + plain.gate_up_bias[expert]).chunk(2)
            gate, up = gate.clamp(max=7), up.clamp(-7, 7)
            h = gate / (1 + torch.exp(-1.702 * gate)) * (up + 1)
            out[row] += share * (plain.down[expert].double() @ h + plain.down_bias[expert])
    return out


def _error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("shape", _SHAPES)
def test_outputs_are_those_of_the_formula(isa: str, format: Format, shape: tuple[int, ...]) -> None:
    tokens, experts, top_k, hidden, inner = shape
    own = pack_on(isa, _plain(experts, hidden, inner), format)
    x, index, weights = _tokens(tokens, experts, top_k, hidden)
    found = run_on(isa, x, index, weights, own)
    wanted = _written_out(x, index, weights, unpack(own))
    assert _error(found, wanted) < _MOST[format]
    assert _error(reference_experts(x, index, weights, own), wanted) < 1e-5
    for row in range(0, tokens, 7):
        some = slice(row, row + 1)
        assert torch.equal(run_on(isa, x[some], index[some], weights[some], own)[0], found[row])


@pytest.mark.parametrize("format", list(Format))
def test_packing_keeps_the_biases(format: Format) -> None:
    plain = _plain(3, 70, 45)
    assert plain.gate_up_bias is not None and plain.down_bias is not None
    for made in (pack(plain, format), pack_experts(plain, format)):
        back = unpack(made, [2, 0])
        assert back.gate_up_bias is not None and back.down_bias is not None
        assert torch.equal(back.gate_up_bias, plain.gate_up_bias[[2, 0]])
        assert torch.equal(back.down_bias, plain.down_bias[[2, 0]])
    without = pack(PlainExperts(plain.gate_up, plain.down), format)
    assert torch.equal(made.data[: without.data.numel()], without.data) or format is Format.INT4


def test_biases_in_bfloat16_and_tokens_in_bfloat16() -> None:
    plain = _plain(4, 64, 96).to(torch.device("cpu"), torch.bfloat16)
    x, index, weights = _tokens(11, 4, 2, 64)
    wanted = _written_out(x.bfloat16(), index, weights, plain)
    assert _error(fused_experts(x.bfloat16(), index, weights, plain), wanted) < 0.02
    assert _error(fused_experts(x.bfloat16(), index, weights, pack(plain)), wanted) < 0.02


def test_a_broken_row_stays_alone() -> None:
    own = pack(_plain(4, 64, 64))
    x, index, weights = _tokens(10, 4, 2, 64)
    clean = fused_experts(x, index, weights, own)
    x[3, 5] = torch.nan
    found = fused_experts(x, index, weights, own)
    assert torch.equal(found[[0, 1, 2, 4, 9]], clean[[0, 1, 2, 4, 9]])
    assert not found[3].isfinite().any()


@pytest.mark.parametrize("mapped", [False, True])
def test_files_keep_the_biases(tmp_path: Path, mapped: bool) -> None:
    plain = _plain(3, 33, 40)
    weights = {str(format): pack(plain, format) for format in Format}
    save_packed(weights, tmp_path / "packed.safetensors")
    x, index, shares = _tokens(5, 3, 2, 33)
    for name, loaded in load_packed(tmp_path / "packed.safetensors", mapped=mapped).items():
        assert isinstance(loaded, PackedExperts) and loaded.biased
        found = fused_experts(x, index, shares, loaded)
        assert torch.equal(found, fused_experts(x, index, shares, weights[name]))


def test_rejects_biases_that_do_not_fit() -> None:
    plain = _plain(2, 32, 32)
    assert plain.down_bias is not None
    x, index, weights = _tokens(3, 2, 1, 32)
    for wrong, why in (
        (replace(plain, down_bias=None), "of both gate_up and down"),
        (replace(plain, down_bias=plain.down_bias[:, 1:]), r"\(E, 2I\) of gate_up"),
    ):
        for use in (pack, lambda some: fused_experts(x, index, weights, some)):
            with pytest.raises(ValueError, match=why):
                use(wrong)
    with pytest.raises(ValueError, match="biases cannot have 8-bit weights"):
        ScaledExperts.of(plain, torch.int8)
    with pytest.raises(ValueError, match="got 1 experts with biases"):
        matrices(pack(_plain(1, 32, 32)))
