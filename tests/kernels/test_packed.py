"""Packed experts and the compiled kernels, with every instruction set of this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expertrag_kernels import Activation, Format, PlainExperts, fused_experts, pack, unpack
from expertrag_kernels.cpu_experts import ISAS, pack_on, run_on
from expertrag_kernels.layout import block_bytes, layer_bytes, pack_experts, room
from expertrag_kernels.reference import reference_experts

BOTH_WAYS = {
    "exact": (Format.F32, Format.BF16),
    "rounded": (Format.INT8, Format.INT4, Format.MXFP4),
}

AGAINST_OWN_WEIGHTS = {
    Format.F32: 1e-5,
    Format.BF16: 6e-3,
    Format.INT8: 3e-2,
    Format.INT4: 3e-2,
    Format.MXFP4: 3e-2,
}
"""Largest relative errors, compared with the weights that a format represents, in fp32."""


def _plain(
    experts: int, hidden: int, inner: int, activation: Activation = Activation.SILU
) -> PlainExperts:
    generator = torch.Generator().manual_seed(experts * 100 + hidden + inner)
    gate_up = torch.randn(experts, 2 * inner, hidden, generator=generator) / hidden**0.5
    down = torch.randn(experts, hidden, inner, generator=generator) / inner**0.5
    return PlainExperts(gate_up, down, activation)


def _tokens(
    tokens: int, experts: int, top_k: int, hidden: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(tokens + top_k)
    weights, index = torch.randn(tokens, experts, generator=generator).softmax(-1).topk(top_k)
    return torch.randn(tokens, hidden, generator=generator), index, weights


def _error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.float() - wanted.float()).norm() / wanted.float().norm())


def test_this_machine_has_compiled_kernels() -> None:
    """Without them, the tests below would pass without testing anything."""
    if shutil.which("c++") or shutil.which("g++"):
        assert "generic" in ISAS


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((1, 4, 1, 64, 96), id="a decode step"),
        pytest.param((23, 7, 3, 64, 96), id="a prime number of experts"),
        pytest.param((9, 4, 4, 64, 64), id="every expert for every token"),
        pytest.param((40, 1, 1, 128, 32), id="a single expert: whole tiles and a rest"),
        pytest.param((13, 5, 2, 33, 71), id="odd hidden and inner sizes"),
        pytest.param((3, 2, 1, 1, 1), id="sizes of one"),
        pytest.param((6, 3, 2, 160, 290), id="groups of scales that are not full"),
    ],
)
def test_equals_the_reference(isa: str, format: Format, shape: tuple[int, ...]) -> None:
    tokens, experts, top_k, hidden, inner = shape
    packed = pack(_plain(experts, hidden, inner), format)
    assert packed.data.shape == (layer_bytes(format, experts, hidden, inner),)
    x, index, weights = _tokens(tokens, experts, top_k, hidden)
    found = run_on(isa, x, index, weights, packed)
    wanted = reference_experts(x, index, weights, packed)
    assert _error(found, wanted) <= AGAINST_OWN_WEIGHTS[format]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("format", list(Format))
def test_packing_equals_the_reference(isa: str, format: Format, dtype: torch.dtype) -> None:
    plain = _plain(3, 160, 71)
    plain.gate_up[1, :9] = 0.0  # scales of zero
    plain.down[2] *= 1e-6  # scales that are subnormal in half precision
    plain = PlainExperts(plain.gate_up.to(dtype), plain.down.to(dtype))
    own, oracle = pack_on(isa, plain, format), pack_experts(plain, format)
    if format is not Format.INT4:
        assert torch.equal(own.data, oracle.data)
        return
    for name in ("gate_up", "down"):  # of two scales that are as good, either may be taken
        wanted = getattr(plain, name).float()
        errors = [
            (getattr(unpack(some), name) - wanted).flatten(1).norm(dim=1) for some in (own, oracle)
        ]
        torch.testing.assert_close(errors[0], errors[1], rtol=5e-4, atol=0)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("activation", list(Activation))
def test_every_activation(isa: str, activation: Activation) -> None:
    packed = pack(_plain(3, 64, 64, activation))
    x, index, weights = _tokens(20, 3, 2, 64)
    x = x * 8  # far into the tails, too
    found = run_on(isa, x, index, weights, packed)
    torch.testing.assert_close(
        found, reference_experts(x, index, weights, packed), atol=2e-5, rtol=2e-5
    )


@pytest.mark.parametrize(
    ("format", "most"),
    [("f32", 1e-5), ("bf16", 0.006), ("int8", 0.03), ("int4", 0.17), ("mxfp4", 0.25)],
)
def test_error_against_fp32(format: str, most: float) -> None:
    plain = _plain(8, 512, 256)
    x, index, weights = _tokens(64, 8, 2, 512)
    found = fused_experts(x, index, weights, pack(plain, format))
    assert _error(found, reference_experts(x, index, weights, plain)) <= most


@pytest.mark.parametrize("format", list(Format))
def test_bfloat16_tokens(format: Format) -> None:
    packed = pack(_plain(4, 64, 96), format)
    x, index, weights = _tokens(11, 4, 2, 64)
    found = fused_experts(x.bfloat16(), index, weights.bfloat16(), packed)
    assert found.dtype == torch.bfloat16
    assert _error(found, reference_experts(x, index, weights, packed)) < 0.04


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("format", list(Format))
def test_a_row_is_the_same_alone_in_any_batch_and_with_any_threads(
    isa: str, format: Format
) -> None:
    packed = pack(_plain(5, 288, 160), format)  # wider than a part of the AVX2 tiles
    x, index, weights = _tokens(50, 5, 2, 288)
    whole = run_on(isa, x, index, weights, packed)
    for row in range(0, 50, 7):
        some = slice(row, row + 1)
        assert torch.equal(run_on(isa, x[some], index[some], weights[some], packed)[0], whole[row])
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    mixed = run_on(isa, x[order], index[order], weights[order], packed)
    assert torch.equal(mixed, whole[order])
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(run_on(isa, x, index, weights, packed), whole)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("format", list(Format))
def test_more_tokens_than_one_pass_holds(format: Format) -> None:
    packed = pack(_plain(2, 32, 32), format)
    x, index, weights = _tokens(1500, 2, 1, 32)
    found = fused_experts(x, index, weights, packed)
    some = fused_experts(x[1200:1210], index[1200:1210], weights[1200:1210], packed)
    assert torch.equal(found[1200:1210], some)
    assert _error(found, reference_experts(x, index, weights, packed)) < 0.04


@pytest.mark.parametrize("format", list(Format))
def test_edge_cases(format: Format) -> None:
    packed = pack(_plain(4, 64, 64), format)
    x, index, weights = _tokens(10, 4, 2, 64)

    def equal(index: torch.Tensor) -> None:
        found = fused_experts(x, index, weights, packed)
        assert _error(found, reference_experts(x, index, weights, packed)) < 0.04

    assert fused_experts(x[:0], index[:0], weights[:0], packed).shape == (0, 64)
    equal(torch.full_like(index, 3))  # one expert takes all, twice each
    equal(torch.where(index == 1, 4, index))  # sentinels
    only = torch.full_like(index, 9)
    assert torch.equal(fused_experts(x, only, weights, packed), torch.zeros_like(x))
    with pytest.raises(ValueError, match="must not be negative; got -1"):
        fused_experts(x, torch.full_like(index, -1), weights, packed)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_non_finite_values_stay_in_their_row(isa: str, format: Format, bad: float) -> None:
    packed = pack(_plain(4, 64, 64), format)
    x, index, weights = _tokens(10, 4, 2, 64)
    clean = run_on(isa, x, index, weights, packed)
    x[3, 5] = bad
    found = run_on(isa, x, index, weights, packed)
    others = [row for row in range(10) if row != 3]
    assert torch.equal(found[others], clean[others])
    assert not found[3].isfinite().all()


@pytest.mark.parametrize("format", BOTH_WAYS["exact"])
def test_exact_formats_restore_the_weights(format: Format) -> None:
    plain = _plain(3, 40, 72)
    if format is Format.BF16:
        plain = PlainExperts(plain.gate_up.bfloat16(), plain.down.bfloat16())
    back = unpack(pack(plain))
    assert torch.equal(back.gate_up, plain.gate_up) and torch.equal(back.down, plain.down)


@pytest.mark.parametrize("format", BOTH_WAYS["rounded"])
def test_packing_rounded_weights_again_does_not_change_them(format: Format) -> None:
    once = unpack(pack(_plain(3, 64, 96), format))
    again = unpack(pack(once, format))
    # scales are rounded; in int4 the weights are, to 8 bits
    most = {Format.INT8: 2e-3, Format.INT4: 0.012, Format.MXFP4: 0.0}[format]
    assert _error(again.gate_up, once.gate_up) <= most
    assert _error(again.down, once.down) <= most


def test_chosen_experts_are_unpacked_in_their_order() -> None:
    plain = _plain(4, 32, 32)
    some = unpack(pack(plain), [2, 0])
    assert torch.equal(some.gate_up, plain.gate_up[[2, 0]])


@given(
    tokens=st.integers(0, 20),
    experts=st.integers(1, 6),
    hidden=st.integers(1, 70),
    inner=st.integers(1, 70),
    format=st.sampled_from(list(Format)),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_shape(tokens: int, experts: int, hidden: int, inner: int, format: Format) -> None:
    packed = pack(_plain(experts, hidden, inner), format)
    x, index, weights = _tokens(tokens, experts, min(2, experts), hidden)
    found = fused_experts(x, index, weights, packed)
    wanted = reference_experts(x, index, weights, packed)
    most = 1e-5 if format is Format.F32 else 0.04  # also of the tokens: few terms may cancel
    assert float((found - wanted).norm()) <= most * float(wanted.norm() + x.norm())


@pytest.mark.parametrize("learned", ["tokens", "routing"])
def test_gradients_reach_the_inputs_through_the_reference(learned: str) -> None:
    x, index, weights = _tokens(4, 3, 2, 32)
    leaf = (x if learned == "tokens" else weights).requires_grad_()
    fused_experts(x, index, weights, pack(_plain(3, 32, 32))).sum().backward()
    assert leaf.grad is not None and leaf.grad.abs().sum() > 0


def test_rejects_experts_and_tokens_that_do_not_fit() -> None:
    packed = pack(_plain(4, 64, 64))
    x, index, weights = _tokens(3, 4, 2, 64)
    room = torch.empty(packed.data.numel() + 128, dtype=torch.uint8)
    start = -room.data_ptr() % 64 + 8
    moved = room[start : start + packed.data.numel()].copy_(packed.data)
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"data": torch.zeros(64, dtype=torch.uint8)}, r"must be \d+ contiguous bytes"),
        ({"num_experts": 5}, r"must be \d+ contiguous bytes"),
        ({"data": moved}, "aligned to 64 bytes"),
    )
    for change, message in wrong:
        with pytest.raises(ValueError, match=message):
            fused_experts(x, index, weights, replace(packed, **change))
    with pytest.raises(ValueError, match="H = 64"):
        fused_experts(x[:, :32], index, weights, packed)
    with pytest.raises(ValueError, match="floating point"):
        fused_experts(x.long(), index, weights, packed)


@pytest.mark.skipif(not ISAS, reason="no compiled kernels")
def test_python_and_compiled_sizes_are_equal() -> None:
    from expertrag_kernels import _cpu

    for number, format in enumerate(Format):
        for inputs in (32, 96, 128, 160, 2048):
            assert _cpu.block_bytes(number, inputs) == block_bytes(format, inputs)


def test_packed_experts_work_without_compiled_kernels() -> None:
    """As in an installation without a compiler."""
    code = (
        "import sys; sys.modules['expertrag_kernels._cpu'] = None\n"
        "import torch\n"
        "from expertrag_kernels import PlainExperts, fused_experts, pack\n"
        "from expertrag_kernels.cpu_experts import ISAS\n"
        "assert ISAS == ()\n"
        "plain = PlainExperts(torch.ones(2, 64, 32), torch.ones(2, 32, 32))\n"
        "x, index, weights = torch.ones(3, 32), torch.zeros(3, 1).long(), torch.ones(3, 1)\n"
        "for format in ('f32', 'bf16', 'int8', 'int4', 'mxfp4'):\n"
        "    found = fused_experts(x, index, weights, pack(plain, format))\n"
        "    torch.testing.assert_close(found, torch.full((3, 32), 32768.0), rtol=0.02, atol=0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rejects_inconsistent_weights() -> None:
    for gate_up, down in (
        (torch.zeros(1, 64, 32), torch.zeros(1, 64, 64)),
        (torch.zeros(2, 64, 32), torch.zeros(1, 32, 32)),
        (torch.zeros(64, 32), torch.zeros(32, 32)),
    ):
        with pytest.raises(ValueError, match=r"gate_up must be \(E, 2I, H\)"):
            pack(PlainExperts(gate_up, down))
    with pytest.raises(ValueError, match="same dtype and device"):
        pack(PlainExperts(torch.zeros(1, 64, 32), torch.zeros(1, 32, 32).bfloat16()))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_rejects_rounding_non_finite_weights(bad: float) -> None:
    plain = _plain(2, 64, 64)
    plain.down[1, 3, 5] = bad
    for format in BOTH_WAYS["rounded"]:
        with pytest.raises(ValueError, match="not finite"):
            pack(plain, format)
    x, index, weights = _tokens(4, 2, 2, 64)
    assert not fused_experts(x, index, weights, pack(plain))[:, 3].isfinite().any()


def _has_huge_pages() -> bool:
    switch = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return switch.is_file() and "[never]" not in switch.read_text()


@pytest.mark.skipif(not _has_huge_pages(), reason="this system has no huge pages")
def test_packed_weights_are_in_huge_pages() -> None:
    data = room(64 << 20).fill_(1)
    areas = Path("/proc/self/smaps").read_text().split("VmFlags")
    (own,) = [area for area in areas if _holds(area, data.data_ptr())]
    huge = next(line for line in own.splitlines() if line.startswith("AnonHugePages"))
    assert int(huge.split()[1]) >= 32 << 10  # kB


def _holds(area: str, address: int) -> bool:
    spans = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) ", area, re.MULTILINE)
    return any(int(start, 16) <= address < int(stop, 16) for start, stop in spans)
