"""Routing policies: their text, and which experts a row uses."""

from __future__ import annotations

import math

import pytest
import torch
from small_decoder import Make, in_torch

from expertrag_kernels import Format, PlainExperts, Routing
from expertrag_kernels.decoder import Decoder
from expertrag_kernels.router import Router
from expertrag_kernels.routing import AS_THE_MODEL, routing_rows
from expertrag_kernels.steps import CacheShape, SequenceRows, SlotView, Steps

_EXPERTS, _TOP_K = 6, 4
_PAGES = torch.tensor([0])


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("model", Routing()),
        ("", Routing()),
        ("top_k:2", Routing(top_k=2)),
        ("top_p:0.7", Routing(top_p=0.7)),
        ("threshold:0.05", Routing(threshold=0.05)),
        ("top_p:0.5, top_k:3", Routing(top_k=3, top_p=0.5)),
        ("null:0", Routing(null=0)),
        ("null:12,top_k:3", Routing(top_k=3, null=12)),
    ],
)
def test_a_policy_is_read_and_spelled(text: str, policy: Routing) -> None:
    assert Routing.parse(text) == policy
    assert Routing.parse(str(policy)) == policy


@pytest.mark.parametrize(
    "text",
    ["best", "top_k", "top_k:0", "top_k:1.5", "top_p:0", "top_p:1.1", "top_p:nan", "threshold:-1",
     "top_k:2,top_k:3", "top_p:0.5,", "null:-1", "null:0.5", "null"],
)  # fmt: skip
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"routing must be model, top_k:K .* got "):
        Routing.parse(text)


def test_batches_without_a_policy_have_no_limits() -> None:
    assert routing_rows([SequenceRows(0, 3, _PAGES)]) is None
    some = [SequenceRows(0, 1, _PAGES), SequenceRows(1, 3, _PAGES, routing=Routing(top_p=0.5))]
    limits = routing_rows(some)
    assert limits is not None
    inf = math.inf
    assert limits.tolist() == [[inf, inf, 0, inf], [inf, 0.5, 0, inf], [inf, 0.5, 0, inf]]
    limits = routing_rows([SequenceRows(0, 1, _PAGES, routing=Routing(null=0))])
    assert limits is not None
    assert limits.tolist() == [[inf, inf, 0, 0]]


def _router(
    make: Make, *, normalise: bool = False, nulls: int = 0
) -> Steps[torch.Tensor, PlainExperts]:
    """A decoder whose tokens are embedded as router logits, and whose experts mark themselves.

    Expert e turns its weight w into w in column e of the kept values.
    """
    decoder = make(CacheShape(1, 1, 4, 4, format=Format.F32), 1)
    logits, x, out = (decoder.slot(width) for width in (_EXPERTS, 32, 32))
    decoder.embed(logits, decoder.matrix(_LOGITS, Format.F32))
    decoder.linear(
        SlotView(logits.slot), x, decoder.matrix(torch.zeros(32, _EXPERTS), Format.F32),
        torch.ones(32),
    )  # fmt: skip
    decoder.linear(logits, out, decoder.matrix(torch.zeros(32, _EXPERTS), Format.F32))
    decoder.rope(x, 1, torch.ones(64, 2), torch.zeros(64, 2), interleaved=False)
    decoder.route(logits, Router(_EXPERTS, _TOP_K, nulls, normalise=normalise))
    true = _EXPERTS - nulls
    gate_up, down = torch.zeros(true, 64, 32), torch.zeros(true, 32, 32)
    gate_up[:, [0, 32], 0] = 1.0
    for expert in range(true):
        down[expert, expert, 0] = 1 / torch.nn.functional.silu(torch.tensor(1.0))
    decoder.mix(x, out, decoder.experts(PlainExperts(gate_up, down), Format.F32), _TOP_K)
    decoder.keep(out, _EXPERTS)
    decoder.pick(x, x)
    return decoder


_PROBABILITIES = torch.tensor(
    [
        [0.40, 0.05, 0.30, 0.15, 0.04, 0.06],
        [0.02, 0.90, 0.03, 0.025, 0.015, 0.01],
        [0.20, 0.10, 0.25, 0.17, 0.15, 0.13],
    ]
)
_LOGITS = _PROBABILITIES.log()


def _used(policy: Routing, make: Make, *, normalise: bool = False) -> torch.Tensor:
    """Weights (3, E) of the experts that each token uses."""
    decoder = _router(make, normalise=normalise)
    rows = torch.arange(3)
    texts = [SequenceRows(0, 3, _PAGES, routing=policy)]
    return decoder.run(rows, rows, texts, rows, rows)[1][0]


@pytest.mark.parametrize("make", [Decoder, in_torch(torch.float32)])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(
    ("policy", "counts"),
    [
        (Routing(), [4, 4, 4]),
        (Routing(top_k=3), [3, 3, 3]),
        (Routing(top_k=9), [4, 4, 4]),
        (Routing(top_p=0.69), [2, 1, 4]),  # .77 of the last token's are within four experts
        (Routing(top_p=0.6), [2, 1, 3]),
        (Routing(threshold=0.16), [2, 1, 3]),
        (Routing(threshold=0.95), [1, 1, 1]),
        (Routing(top_k=1, top_p=0.9), [1, 1, 1]),
    ],
)
def test_experts_that_a_policy_keeps(
    policy: Routing, counts: list[int], make: Make, *, normalise: bool
) -> None:
    found = _used(policy, make, normalise=normalise)
    values, order = _PROBABILITIES.topk(_TOP_K)
    wanted = torch.zeros_like(_PROBABILITIES)
    for row, count in enumerate(counts):
        kept = values[row, :count]
        wanted[row, order[row, :count]] = kept / kept.sum() if normalise else kept
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [Decoder, in_torch(torch.float32)])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(
    ("null", "chosen"),
    [  # the four best experts of each token; 4 and 5 are null
        (None, [[0, 2, 3, 5], [1, 2, 3, 0], [2, 0, 3, 4]]),
        (2, [[0, 2, 3, 5], [1, 2, 3, 0], [2, 0, 3, 4]]),
        (1, [[0, 2, 3, 1], [1, 2, 3, 0], [2, 0, 3, 4]]),
        (0, [[0, 2, 3, 1], [1, 2, 3, 0], [2, 0, 3, 1]]),
    ],
)
def test_null_experts_cost_nothing_and_a_policy_closes_them(
    null: int | None, chosen: list[list[int]], make: Make, *, normalise: bool
) -> None:
    decoder, rows = _router(make, normalise=normalise, nulls=2), torch.arange(3)
    texts = [SequenceRows(0, 3, _PAGES, routing=Routing(null=null))]
    found = decoder.run(rows, rows, texts, rows, rows)[1][0]
    index = torch.tensor(chosen)
    weights = _PROBABILITIES.gather(1, index)  # a closed expert has its probability all the same
    weights = weights / weights.sum(1, keepdim=True) if normalise else weights
    wanted = torch.zeros_like(found).scatter(1, index, weights)
    wanted[:, 4:] = 0.0
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert decoder.experts_used == (int((index < 4).sum()), 3)


@pytest.mark.parametrize("make", [Decoder, in_torch(torch.float32)])
def test_other_policies_count_a_null_expert_like_any_other(make: Make) -> None:
    decoder, rows = _router(make, nulls=4), torch.arange(3)  # experts 2 to 5 compute nothing
    texts = [SequenceRows(0, 3, _PAGES, routing=Routing(top_k=1))]
    found = decoder.run(rows, rows, texts, rows, rows)[1][0]
    assert (found > 0).sum(1).tolist() == [1, 1, 0]
    assert decoder.experts_used == (2, 3)


@pytest.mark.parametrize("make", [Decoder, in_torch(torch.float32)])
def test_each_sequence_has_its_own_policy(make: Make) -> None:
    decoder, rows = _router(make), torch.arange(3)
    policies = Routing(top_k=1), AS_THE_MODEL, Routing(top_k=2)
    texts = [
        SequenceRows(row, row + 1, _PAGES, routing=policy) for row, policy in enumerate(policies)
    ]
    places = torch.zeros(3, dtype=torch.long)
    found = decoder.run(rows, places, texts, rows, rows)[1][0]
    assert (found > 0).sum(1).tolist() == [1, 4, 2]
    assert decoder.experts_used == (7, 3)
    texts = [SequenceRows(0, 2, _PAGES, expert=3), SequenceRows(2, 3, _PAGES)]
    found = decoder.run(rows, rows, texts, rows, rows)[1][0]
    assert (found > 0).sum(1).tolist() == [1, 1, 4]
    assert decoder.experts_used == (13, 6)


@pytest.mark.parametrize("make", [Decoder, in_torch(torch.float32)])
def test_each_sequence_has_its_own_open_experts(make: Make) -> None:
    decoder, rows = _router(make, nulls=2), torch.arange(3)
    first, second = torch.zeros(2, 1, _EXPERTS, dtype=torch.bool)
    first[0, [0, 3, 5]] = True
    second[0, [1, 4]] = True
    texts = [
        SequenceRows(0, 1, _PAGES, open=first, routing=Routing(null=1)),  # expert 5 is closed
        SequenceRows(1, 2, _PAGES),
        SequenceRows(2, 3, _PAGES, open=second, routing=Routing(top_k=1)),
    ]
    found = decoder.run(rows, torch.zeros(3, dtype=torch.long), texts, rows, rows)[1][0]
    chosen = [[0, 3], [1, 2, 3, 0], [4]]
    wanted = torch.zeros_like(found)
    for row, experts in enumerate(chosen):
        wanted[row, experts] = _PROBABILITIES[row, experts]
    wanted[:, 4:] = 0.0  # null experts compute nothing
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert decoder.experts_used == (6, 3)
