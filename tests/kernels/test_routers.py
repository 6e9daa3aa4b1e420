"""Routers in C++ and in torch, against those of transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_decoder import Make
from transformers import DeepseekV3Config
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3TopkRouter
from transformers.models.phimoe.modeling_phimoe import sparsemixer

from expertrag_kernels import Format, PlainExperts, Routing
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.packed import Activation
from expertrag_kernels.router import Router
from expertrag_kernels.routing import AS_THE_MODEL
from expertrag_kernels.steps import OUTPUT, CacheShape, SequenceRows, SlotView, Steps

_EXPERTS, _TOP_K, _TOKENS = 12, 4, 150
_Chosen = tuple[torch.Tensor, torch.Tensor]  # weights and experts (T, K), in any order


def _logits(scale: float = 1.0) -> torch.Tensor:
    made = torch.randn(_TOKENS, _EXPERTS, generator=torch.Generator().manual_seed(5)) * scale
    made[1] = made[1].abs()
    made[2] = -made[2].abs()
    made[3] = 0.0
    return made


def _decoder(make: Make, logits: torch.Tensor, top_k: int, **options: Any) -> Steps[Any, Any]:
    """A decoder whose output is the weight of every expert, of tokens that are rows of logits.

    Expert e returns 1 at place e; the first value of each row is 1.
    """
    width = 1 + _EXPERTS
    d = make(CacheShape(1, 1, 8, 8, format=Format.F32), 4)
    x, found = d.slot(width), d.slot(width)
    key, scores, last = d.slot(8), d.slot(_EXPERTS), d.slot(width)
    table = torch.cat([torch.ones(_TOKENS, 1), logits], dim=1)
    gate_up = torch.zeros(_EXPERTS, 2, width)
    gate_up[:, :, 0] = 1.0
    down = torch.zeros(_EXPERTS, width, 1)
    down[range(_EXPERTS), range(_EXPERTS)] = 1.0
    d.embed(x, d.matrix(table, Format.F32))
    angles = torch.zeros(_TOKENS, 4)
    d.rope(SlotView(key.slot, 0, 8), 1, angles.cos(), angles.sin(), interleaved=False)
    d.linear(x, scores, d.matrix(torch.eye(width)[1:], Format.F32))
    d.linear(x, found, d.matrix(torch.zeros(width, width), Format.F32))
    d.route(scores, Router(_EXPERTS, top_k, **options))
    experts = PlainExperts(gate_up, down, Activation.RELU)
    d.mix(x, found, d.experts(experts, Format.F32), top_k)
    d.pick(found, last)
    d.linear(last, OUTPUT, d.matrix(torch.eye(width)[:_EXPERTS], Format.F32))
    return d


def _weights(
    decoder: Steps[Any, Any],
    tokens: torch.Tensor,
    routing: Routing = AS_THE_MODEL,
    is_open: torch.Tensor | None = None,
) -> torch.Tensor:
    count = len(tokens)
    texts = [SequenceRows(0, count, torch.arange(4), routing=routing, open=is_open)]
    places = torch.arange(count)
    return decoder.run(tokens, places, texts, places)[0]


def _check(make: Make, logits: torch.Tensor, wanted: _Chosen, top_k: int, **options: Any) -> None:
    weights, index = wanted
    decoder = _decoder(make, logits, top_k, **options)
    found = _weights(decoder, torch.arange(_TOKENS))
    expected = torch.zeros_like(logits).scatter(1, index, weights)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    if isinstance(decoder, Decoder):  # the same bits in another batch
        some = torch.tensor([70, 3, 149, 2])
        assert torch.equal(_weights(decoder, some), found[some])


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize(("groups", "top_groups"), [(1, 1), (4, 2), (6, 3), (3, 1)])
def test_sigmoids_with_a_correction(
    make: Make, normalise: bool, groups: int, top_groups: int
) -> None:
    router = _deepseek_v3(normalise, groups, top_groups)
    logits = _logits(2.0)
    logits[3] = -torch.arange(200.0, 200 + _EXPERTS)  # sigmoids of nothing sum to nothing
    _, weights, index = router(logits)
    _check(
        make, logits, (weights, index), _TOP_K,
        normalise=normalise, groups=groups, top_groups=top_groups, scale=2.5,
        correction=router.e_score_correction_bias,
    )  # fmt: skip


def _deepseek_v3(normalise: bool, groups: int, top_groups: int) -> Any:
    """A router that takes its input as logits."""
    config = DeepseekV3Config(
        hidden_size=_EXPERTS, n_routed_experts=_EXPERTS, num_experts_per_tok=_TOP_K, n_group=groups,
        topk_group=top_groups, norm_topk_prob=normalise, routed_scaling_factor=2.5,
    )  # fmt: skip
    router: Any = DeepseekV3TopkRouter(config).requires_grad_(False)
    router.weight.copy_(torch.eye(_EXPERTS))
    router.e_score_correction_bias.normal_(std=0.3, generator=torch.Generator().manual_seed(9))
    return router


@pytest.mark.parametrize("jitter", [0.0, 0.01, 0.2, 0.6])
def test_sparse_mixer(make: Make, jitter: float) -> None:
    logits = _logits()
    reference: Any = sparsemixer  # without annotations in transformers
    wanted = reference(logits, jitter_eps=jitter, training=False)
    assert jitter == 0 or wanted[0].std() > 0.01
    _check(make, logits, wanted, 2, mixer_margin=2 * jitter)


def _softmax(logits: torch.Tensor) -> _Chosen:
    return logits.softmax(1).topk(_TOP_K)


def _in_groups(logits: torch.Tensor) -> _Chosen:
    """As in DeepSeek-V2: of four groups, the two with the most likely experts."""
    shares = logits.softmax(1).view(_TOKENS, 4, -1)
    best = shares.amax(2).topk(2).indices
    inside = torch.zeros(_TOKENS, 4).scatter(1, best, 1.0)
    return (shares * inside[:, :, None]).flatten(1).topk(_TOP_K)


@pytest.mark.parametrize(
    ("expected", "options"), [(_softmax, {}), (_in_groups, {"groups": 4, "top_groups": 2})]
)
def test_shares_of_a_softmax(
    make: Make, expected: Callable[[torch.Tensor], _Chosen], options: dict[str, int]
) -> None:
    logits = _logits()
    logits[3] = torch.arange(_EXPERTS)  # no ties, which torch breaks in its own way
    weights, index = expected(logits)
    _check(make, logits, (weights, index), _TOP_K, **options)
    weights = weights / weights.sum(1, keepdim=True)
    _check(make, logits, (weights, index), _TOP_K, normalise=True, **options)


@pytest.mark.parametrize("normalise", [True, False])
def test_policies_compare_shares_of_sigmoids(make: Make, normalise: bool) -> None:
    logits, correction = _logits(), torch.linspace(-0.3, 0.3, _EXPERTS)
    options = {"normalise": normalise, "correction": correction}
    decoder = _decoder(make, logits, _TOP_K, **options)
    found = _weights(decoder, torch.arange(_TOKENS), Routing(top_p=0.7, threshold=0.22))
    index = (logits.sigmoid() + correction).topk(_TOP_K).indices
    weights = logits.sigmoid().gather(1, index)
    shares = weights / weights.sum(1, keepdim=True)
    kept = (shares.cumsum(1) - shares < 0.7) & (shares >= 0.22)
    kept[:, 0] = True
    assert set(kept.sum(1).tolist()) == {1, 2, 3}
    weights = weights * kept
    weights = weights / weights.sum(1, keepdim=True) if normalise else weights
    expected = torch.zeros_like(logits).scatter(1, index, weights)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


_OPEN = torch.tensor([1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0], dtype=torch.bool)[None]  # two of three


def _by_hand(
    scores: torch.Tensor, weights: torch.Tensor, groups: int, top_groups: int, best: int
) -> torch.Tensor:
    """Weights (T, E) of a plain choice among the open experts, a row after the other.

    :param best: how many of a group's best open experts make its score.
    """
    found, size = torch.zeros_like(weights), _EXPERTS // groups
    for row, score in enumerate(scores.tolist()):
        inside = [expert for expert in range(_EXPERTS) if _OPEN[0, expert]]
        inside.sort(key=lambda expert: -score[expert])
        values = [
            sum([score[e] for e in inside if e // size == group][:best]) for group in range(groups)
        ]
        chosen = sorted(range(groups), key=lambda group: -values[group])[:top_groups]
        ranked = [expert for expert in inside if expert // size in chosen]
        for expert in ranked[:_TOP_K]:
            found[row, expert] = weights[row, expert]
    return found


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize(("groups", "top_groups"), [(1, 1), (4, 2)])
@pytest.mark.parametrize("corrected", [False, True])
def test_closed_experts_are_not_chosen(
    make: Make, corrected: bool, groups: int, top_groups: int, normalise: bool
) -> None:
    logits = _logits()
    logits[3] = torch.arange(_EXPERTS) / 7  # no ties
    options: dict[str, Any] = {"groups": groups, "top_groups": top_groups}
    weights = scores = logits.softmax(1)
    if corrected:
        options["correction"] = torch.linspace(-0.3, 0.3, _EXPERTS)
        weights = logits.sigmoid()
        scores = weights + options["correction"]
    wanted = _by_hand(scores, weights, groups, top_groups, 2 if corrected else 1)
    if normalise:
        wanted = wanted / wanted.sum(1, keepdim=True)
    decoder = _decoder(make, logits, _TOP_K, normalise=normalise, **options)
    found = _weights(decoder, torch.arange(_TOKENS), is_open=_OPEN)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
    assert not torch.equal(found, _weights(decoder, torch.arange(_TOKENS)))


@pytest.mark.parametrize("jitter", [0.0, 0.2])
def test_sparse_mixer_leaves_closed_experts_out(make: Make, jitter: float) -> None:
    logits = _logits()
    reference: Any = sparsemixer  # without annotations in transformers
    weights, index = reference(logits.masked_fill(~_OPEN, -1e9), jitter_eps=jitter, training=False)
    decoder = _decoder(make, logits, 2, mixer_margin=2 * jitter)
    found = _weights(decoder, torch.arange(_TOKENS), is_open=_OPEN)
    expected = torch.zeros_like(logits).scatter(1, index, weights)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"correction": torch.zeros(_EXPERTS)}])
def test_fewer_open_experts_than_a_token_uses(make: Make, options: dict[str, Any]) -> None:
    logits = _logits()
    is_open = torch.zeros(1, _EXPERTS, dtype=torch.bool)
    is_open[0, [2, 9]] = True
    decoder = _decoder(make, logits, _TOP_K, normalise=True, **options)
    found = _weights(decoder, torch.arange(_TOKENS), is_open=is_open)
    shares = logits.sigmoid() if options else logits.softmax(1)
    shares = shares * is_open
    torch.testing.assert_close(found, shares / shares.sum(1, keepdim=True), atol=1e-6, rtol=1e-5)
    assert decoder.experts_used == (2 * _TOKENS, _TOKENS)


def test_open_experts_have_the_shape_of_the_routers(make: Make) -> None:
    decoder = _decoder(make, _logits(), _TOP_K)
    for wrong in (_OPEN[:, 1:], _OPEN.repeat(2, 1), _OPEN.int()):
        with pytest.raises(ValueError, match=r"open experts must be \(1, 12\) bool; got"):
            _weights(decoder, torch.arange(3), is_open=wrong)
