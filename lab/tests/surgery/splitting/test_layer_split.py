"""Activity, clusters and routers against plain references of their equations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from dense_samples import SIZES, dense_of, splits_of
from made_mixtures import texts

from expertrag_index.types import silent
from expertrag_lab.surgery.splitting.balanced_assignment import balance
from expertrag_lab.surgery.splitting.dense_inputs import dense_inputs
from expertrag_lab.surgery.splitting.layer_split import LayerSplit
from expertrag_lab.surgery.splitting.neuron_activity import (
    ACTIVE_SHARE,
    activations,
    active_neurons,
)
from expertrag_lab.surgery.splitting.neuron_clusters import (
    centres_of,
    cluster_neurons,
    distances,
)
from expertrag_lab.surgery.splitting.router_fit import contributions, fit_router, share_of_best

_ARCHITECTURES = ("llama", "qwen2", "qwen3")


@pytest.mark.parametrize("family", _ARCHITECTURES)
def test_inputs_are_those_of_every_network(family: str) -> None:
    model: Any = dense_of(family).model
    found = dense_inputs(model, texts(3), 10_000, 0, silent)
    for number, layer in enumerate(model.model.layers):
        heard: list[torch.Tensor] = []
        hook = layer.mlp.register_forward_hook(lambda _m, given, _o, to=heard: to.append(given[0]))
        for text in texts(3):
            model(input_ids=torch.tensor([text]))
        hook.remove()
        assert torch.equal(found[number], torch.cat(heard, dim=1)[0])


def test_some_tokens_are_drawn_the_same_in_every_layer() -> None:
    model: Any = dense_of("llama").model
    whole = dense_inputs(model, texts(3), 10_000, 0, silent)
    some, again, other = (dense_inputs(model, texts(3), 30, seed, silent) for seed in (1, 1, 2))
    places = [(whole[0] == row).all(dim=1).nonzero()[0, 0] for row in some[0]]
    for own, every in zip(some, whole, strict=True):
        assert torch.equal(own, every[torch.stack(places)])
    assert torch.equal(some[0], again[0]) and not torch.equal(some[0], other[0])


@pytest.mark.parametrize("family", _ARCHITECTURES)
def test_activity_is_how_far_a_neuron_moves_the_stream(family: str) -> None:
    model: Any = dense_of(family).model
    network = model.model.layers[1].mlp
    inputs = dense_inputs(model, texts(1), 10_000, 0, silent)[1]
    given = activations(network, inputs)
    down = network.down_proj.weight
    torch.testing.assert_close(given @ down.T, network(inputs))
    active = active_neurons(given, down, 0.1)
    for token, row in enumerate(inputs.tolist()):
        moved = []
        for neuron in range(48):
            gate, up = (
                sum(a * b for a, b in zip(part.weight[neuron].tolist(), row, strict=True))
                for part in (network.gate_proj, network.up_proj)
            )
            own = gate / (1 + math.exp(-gate)) * up
            moved.append(abs(own) * math.hypot(*down[:, neuron].tolist()))
        wanted = sorted(range(48), key=lambda neuron: -moved[neuron])[:5]
        assert sorted(wanted) == active[token].nonzero()[:, 0].tolist()


def test_distances_are_sums_of_absolute_differences() -> None:
    points, centres = (torch.rand(7, 20) > 0.5).float(), torch.rand(3, 20)
    torch.testing.assert_close(distances(points, centres), torch.cdist(points, centres, p=1))


def test_rounds_end_where_every_neuron_is_in_the_cheapest_cluster() -> None:
    active = torch.rand(60, 24, generator=torch.Generator().manual_seed(3)) > 0.6
    points, found = active.T.float(), cluster_neurons(active, 4)
    own = torch.empty(24, dtype=torch.long)
    own[found] = torch.arange(4)[:, None].expand(4, 6)
    costs = distances(points, torch.stack([points[each].mean(0) for each in found]))
    again = torch.from_numpy(balance(costs.double().numpy(), 6))
    chosen = [costs.gather(1, way[:, None]).sum() for way in (own, again)]
    torch.testing.assert_close(*chosen)


def test_clusters_begin_far_apart() -> None:
    points = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1.0]])
    assert torch.equal(centres_of(points, 3), points[[2, 3, 0]])  # 4 from one, then 1 from both


def test_neurons_that_are_active_together_become_a_cluster() -> None:
    generator = torch.Generator().manual_seed(0)
    together = torch.rand(200, 4, generator=generator) > 0.7  # four groups
    order = torch.randperm(32, generator=generator)
    noise = torch.rand(200, 32, generator=generator) > 0.97
    active = together.repeat_interleave(8, dim=1)[:, order] ^ noise
    found = cluster_neurons(active, 4)
    assert {frozenset((order[own] // 8).tolist()) for own in found} == {
        frozenset({group}) for group in range(4)
    }


@pytest.mark.parametrize("family", _ARCHITECTURES)
def test_every_neuron_is_in_one_expert(family: str) -> None:
    for split in splits_of(dense_of(family), texts(4)):
        assert split.shared.shape == (12,) and split.routed.shape == (6, 6)
        every = torch.cat([split.shared, split.routed.flatten()])
        assert torch.equal(every.sort().values, torch.arange(48))
        assert (split.routed.diff(dim=1) > 0).all() and (split.shared.diff() > 0).all()


@pytest.mark.parametrize("family", _ARCHITECTURES)
def test_the_neurons_of_the_shared_experts_are_active_the_most_often(family: str) -> None:
    dense = dense_of(family)
    model: Any = dense.model
    inputs = dense_inputs(model, texts(4), 10_000, 0, silent)
    for split, layer, own in zip(
        splits_of(dense, texts(4)), model.model.layers, inputs, strict=True
    ):
        rates = active_neurons(
            activations(layer.mlp, own), layer.mlp.down_proj.weight, ACTIVE_SHARE
        ).sum(0)
        assert rates[split.shared].min() >= rates[split.routed].max()


@pytest.mark.parametrize("family", _ARCHITECTURES)
def test_contributions_are_norms_of_the_experts_outputs(family: str) -> None:
    model: Any = dense_of(family).model
    network = model.model.layers[0].mlp
    inputs = dense_inputs(model, texts(1), 10_000, 0, silent)[0]
    experts = torch.randperm(48).view(6, 8)
    found = contributions(activations(network, inputs), network.down_proj.weight, experts)
    for number, own in enumerate(experts):
        gate, up = (part.weight[own] for part in (network.gate_proj, network.up_proj))
        inner = torch.nn.functional.silu(inputs @ gate.T) * (inputs @ up.T)
        wanted = (inner @ network.down_proj.weight[:, own].T).norm(dim=1)
        torch.testing.assert_close(found[:, number], wanted)


def test_the_router_is_the_least_squares_fit_of_the_shares() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 5, generator=generator)
    norms = torch.rand(60, 4, generator=generator)
    router = fit_router(inputs, norms, ridge=0.0)
    shares = (norms / norms.sum(1, keepdim=True)).double().numpy()
    rows = np.concatenate([inputs.double().numpy(), np.ones((60, 1))], axis=1)
    wanted, *_ = np.linalg.lstsq(rows, shares, rcond=None)
    found = router.scores(inputs).numpy()
    np.testing.assert_allclose(found, rows @ wanted, atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-5)


def test_a_planted_router_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, planted = (torch.randn(size, 16, generator=generator) for size in (400, 6))
    norms = 10 + inputs @ planted.T
    scores = fit_router(inputs, norms).scores(inputs)
    assert share_of_best(norms, scores, 2) == pytest.approx(
        share_of_best(norms, norms, 2), rel=0.01
    )
    assert share_of_best(norms, norms, 6) == pytest.approx(1.0)
    assert share_of_best(norms, -norms, 2) < share_of_best(norms, scores, 2)


def test_kept_shares_are_ordered_and_survive_a_file() -> None:
    for split in splits_of(dense_of("llama"), texts(20)):
        router, best, frequent = split.kept.tolist()
        assert 0 < router <= best <= 1 and 0 < frequent <= best
        again = LayerSplit.of(split.tensors())
        assert all(torch.equal(again.tensors()[k], v) for k, v in split.tensors().items())
        assert again.routed.shape == (SIZES.routed, 6)
