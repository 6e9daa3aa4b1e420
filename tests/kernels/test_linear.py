"""Experts of a linear layer, compared with one text and one expert at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from expertrag_kernels import CopiedExperts, LowRankExperts, apply_copies, apply_low_rank

TEXTS, LENGTH, IN, OUT, RANK, EXPERTS = 5, 7, 12, 9, 3, 4
NONE = EXPERTS


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


X, BASE = _normal(TEXTS, LENGTH, IN), _normal(TEXTS, LENGTH, OUT)
LOW_RANK = LowRankExperts(_normal(EXPERTS, RANK, IN), _normal(EXPERTS, OUT, RANK))
COPIES = CopiedExperts(_normal(EXPERTS, OUT, IN), _normal(EXPERTS, OUT))

ROUTES = {
    "one expert for all": ([[2]] * TEXTS, [[1.0]] * TEXTS),
    "an expert each": ([[0], [1], [2], [3], [0]], [[1.0]] * TEXTS),
    "some without": ([[0], [NONE], [2], [NONE], [0]], [[1.0]] * TEXTS),
    "two at once": ([[0, 1], [3, NONE], [2, 0], [NONE, NONE], [1, 3]], [[0.7, 0.3]] * TEXTS),
    "sentinels beyond E": ([[9], [1], [7], [1], [9]], [[1.0]] * TEXTS),
    "the same expert, weighted": ([[1]] * TEXTS, [[0.5]] * TEXTS),
}


def _route(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    index, weights = ROUTES[name]
    return torch.tensor(index), torch.tensor(weights)


def _updated(text: int, expert: int) -> torch.Tensor:
    """What an expert of low rank adds to the base."""
    return X[text].double() @ (LOW_RANK.up[expert].double() @ LOW_RANK.down[expert].double()).T


def _replaced(text: int, expert: int) -> torch.Tensor:
    """What a copy adds to the base, whose weight it reduces."""
    assert COPIES.bias is not None
    output = X[text].double() @ COPIES.weight[expert].double().T + COPIES.bias[expert].double()
    return output - BASE[text].double()


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize(
    ("apply", "experts", "added"),
    [(apply_low_rank, LOW_RANK, _updated), (apply_copies, COPIES, _replaced)],
)
def test_experts_add_to_the_base_by_their_weights(
    name: str, apply: Any, experts: Any, added: Callable[[int, int], torch.Tensor]
) -> None:
    index, weights = _route(name)
    expected = BASE.double()
    for text in range(TEXTS):
        for expert, weight in zip(index[text].tolist(), weights[text].tolist(), strict=True):
            if expert < EXPERTS:
                expected[text] += weight * added(text, expert)
    found = apply(BASE, X, index, weights, experts)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_text_without_experts_is_bit_identical_to_the_base(dtype: torch.dtype) -> None:
    index, weights = _route("some without")
    base, x = BASE.to(dtype), X.to(dtype)
    for found in (
        apply_low_rank(base, x, index, weights, LOW_RANK),
        apply_copies(base, x, index, weights, COPIES),
    ):
        assert torch.equal(found[[1, 3]], base[[1, 3]])
        assert not torch.equal(found[0], base[0])


@pytest.mark.parametrize("bias", [COPIES.bias, None])
def test_a_copy_with_full_weight_is_bit_identical_to_its_layer(bias: torch.Tensor | None) -> None:
    found = apply_copies(BASE, X, *_route("one expert for all"), CopiedExperts(COPIES.weight, bias))
    own = torch.nn.functional.linear(X, COPIES.weight[2], None if bias is None else bias[2])
    assert torch.equal(found, own)


def test_a_batch_without_experts_returns_the_base() -> None:
    index, weights = torch.full((TEXTS, 2), NONE), torch.ones(TEXTS, 2)
    assert apply_low_rank(BASE, X, index, weights, LOW_RANK) is BASE
    assert apply_copies(BASE, X, index, weights, COPIES) is BASE


def test_gradients_reach_only_the_chosen_experts() -> None:
    down, up = LOW_RANK.down.clone().requires_grad_(), LOW_RANK.up.clone().requires_grad_()
    index, weights = _route("an expert each")
    index[index == 3] = NONE
    output = apply_low_rank(BASE, X, index, weights, LowRankExperts(down, up))
    for gradient in torch.autograd.grad(output.sum(), (down, up)):
        assert [bool(gradient[e].any()) for e in range(EXPERTS)] == [True, True, True, False]
