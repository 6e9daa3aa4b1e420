"""``fused_experts`` compared with a simple per-token loop, on difficult shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F

from expertrag_kernels import Activation, PlainExperts, fused_experts

_ACTIVATIONS: dict[Activation, Callable[[torch.Tensor], torch.Tensor]] = {
    Activation.SILU: F.silu,
    Activation.GELU: F.gelu,
    Activation.GELU_TANH: lambda x: F.gelu(x, approximate="tanh"),
    Activation.RELU: F.relu,
}


@dataclass(frozen=True)
class Call:
    x: torch.Tensor
    index: torch.Tensor
    weights: torch.Tensor
    experts: PlainExperts

    def run(self) -> torch.Tensor:
        return fused_experts(self.x, self.index, self.weights, self.experts)


def _oracle(call: Call) -> torch.Tensor:
    """One token and one expert at a time, in fp64."""
    out = torch.zeros(call.x.shape, dtype=torch.float64)
    for token in range(call.x.shape[0]):
        for expert, weight in zip(
            call.index[token].tolist(), call.weights[token].tolist(), strict=True
        ):
            if expert >= call.experts.num_experts:
                continue
            gate, up = (call.experts.gate_up[expert].double() @ call.x[token].double()).chunk(2)
            inner = _ACTIVATIONS[call.experts.activation](gate) * up
            out[token] += weight * (call.experts.down[expert].double() @ inner)
    return out


def _call(
    tokens: int,
    experts: int,
    per_token: int,
    hidden: int = 16,
    inner: int = 24,
    *,
    dtype: torch.dtype = torch.float32,
    activation: Activation = Activation.SILU,
) -> Call:
    generator = torch.Generator().manual_seed(tokens * 1000 + experts * 10 + per_token)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    weights, index = normal(tokens, experts).softmax(-1).topk(per_token, dim=-1)
    plain = PlainExperts(
        (normal(experts, 2 * inner, hidden) / hidden**0.5).to(dtype),
        (normal(experts, hidden, inner) / inner**0.5).to(dtype),
        activation,
    )
    return Call(normal(tokens, hidden).to(dtype), index, weights, plain)


def _assert_close(call: Call, tolerance: float = 1e-5) -> None:
    out = call.run()
    assert out.dtype == call.x.dtype and out.shape == call.x.shape
    torch.testing.assert_close(out.double(), _oracle(call), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((0, 4, 2), id="no tokens: an empty batch after filtering"),
        pytest.param((1, 4, 1), id="a decode step with one expert"),
        pytest.param((1, 4, 2), id="a decode step with two"),
        pytest.param((1, 4, 4), id="a decode step with all experts"),
        pytest.param((2, 4, 2), id="the smallest call that is sorted"),
        pytest.param((33, 7, 3), id="a prime number of experts"),
        pytest.param((33, 4, 1), id="one expert per token"),
        pytest.param((9, 4, 4), id="every expert for every token"),
        pytest.param((5, 64, 8), id="fewer pairs than experts, most of them empty"),
        pytest.param((17, 1, 1), id="a single expert"),
        pytest.param((13, 5, 2, 7, 9), id="odd hidden and inner sizes"),
        pytest.param((13, 5, 2, 1, 1), id="sizes of one"),
    ],
)
def test_equals_the_loop(shape: tuple[int, ...]) -> None:
    _assert_close(_call(*shape))


@pytest.mark.parametrize("tokens", [1, 11])
@pytest.mark.parametrize("activation", _ACTIVATIONS)
def test_every_activation(activation: Activation, tokens: int) -> None:
    _assert_close(_call(tokens, 5, 2, activation=activation))


@pytest.mark.parametrize("tokens", [1, 20])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 3e-2), (torch.float16, 4e-3)])
def test_half_types(dtype: torch.dtype, tolerance: float, tokens: int) -> None:
    _assert_close(_call(tokens, 4, 2, dtype=dtype), tolerance)


def test_one_expert_gets_every_token_even_twice() -> None:
    call = _call(40, 6, 2)
    _assert_close(replace(call, index=torch.full_like(call.index, 5)))


@pytest.mark.parametrize("tokens", [1, 12])
def test_sentinels_add_zero(tokens: int) -> None:
    """The weight of a sentinel need not be zero: 0 times garbage could be NaN."""
    call = _call(tokens, 4, 3)
    index = call.index.clone()
    index[:, 1] = 4
    index[0, 2] = 9
    _assert_close(replace(call, index=index))


@pytest.mark.parametrize("tokens", [1, 12])
def test_only_sentinels_give_zero(tokens: int) -> None:
    call = _call(tokens, 4, 2)
    out = replace(call, index=torch.full_like(call.index, 4)).run()
    assert torch.equal(out, torch.zeros_like(call.x))


def test_nan_stays_in_its_token() -> None:
    call = _call(10, 4, 2)
    clean = call.run()
    x = call.x.clone()
    x[3] = torch.nan
    out = replace(call, x=x).run()
    others = [token for token in range(10) if token != 3]
    assert out[3].isnan().all()
    assert torch.equal(out[others], clean[others])


def test_arguments_are_not_modified() -> None:
    call = _call(8, 4, 2)
    before = [t.clone() for t in (call.x, call.index, call.weights, call.experts.gate_up)]
    call.run()
    after = (call.x, call.index, call.weights, call.experts.gate_up)
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("tokens", [1, 8])
def test_gradients_reach_every_input(tokens: int) -> None:
    call = _call(tokens, 4, 2)
    leaves = [call.x, call.weights, call.experts.gate_up, call.experts.down]
    for leaf in leaves:
        leaf.requires_grad_()
    gradients = torch.autograd.grad(call.run().square().sum(), leaves)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_a_decode_step_copies_no_weights() -> None:
    """At T=1 only the chosen experts are read: the others may contain anything, even NaN."""
    call = _call(1, 4, 1)
    expected = call.run()
    chosen = int(call.index[0, 0])
    for expert in range(4):
        if expert != chosen:
            call.experts.gate_up[expert] = torch.nan
    assert torch.equal(call.run(), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(5, 3)}, r"x must be \(T, H\) with H = 16; got \(5, 3\)"),
        ({"x": torch.zeros(16)}, r"x must be"),
        ({"index": torch.zeros(4, 2, dtype=torch.int64)}, r"top_k_index .* T = 5.*\(4, 2\)"),
        ({"index": torch.zeros(5, 0, dtype=torch.int64)}, r"K >= 1; got \(5, 0\)"),
        ({"weights": torch.zeros(5, 3)}, r"top_k_weights .*\(5, 2\); got \(5, 3\)"),
        ({"index": torch.zeros(5, 2, dtype=torch.int32)}, "int64"),
        ({"index": torch.full((5, 2), -1)}, "not be negative; got -1"),
        ({"x": torch.zeros(5, 16, dtype=torch.bfloat16)}, "same dtype"),
        (
            {"experts": PlainExperts(torch.zeros(4, 47, 16), torch.zeros(4, 16, 24))},
            r"gate_up must be .*\(4, 47, 16\)",
        ),
    ],
)
def test_rejects_inconsistent_arguments(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(_call(5, 4, 2), **change).run()  # type: ignore[arg-type] # keys vary by case


def test_rejects_a_negative_index_for_one_token() -> None:
    with pytest.raises(ValueError, match="negative"):
        replace(_call(1, 4, 2), index=torch.tensor([[0, -1]])).run()
