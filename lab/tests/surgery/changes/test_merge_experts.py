"""M-SMoE against a plain reference of it, and the cases in which merging loses nothing."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from made_mixtures import (
    SIZES,
    engine_logits,
    layers_of,
    logits,
    mixture_of,
    planted_profile,
    profile_of,
    same_weights,
)

from expertrag.api.errors import InvalidArgument
from expertrag_lab.surgery.changes.denominators import Denominators
from expertrag_lab.surgery.changes.merge_experts import group_experts, merge_experts
from expertrag_lab.surgery.changes.neurons import NeuronLayout, alignment
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile

_FAMILIES = (
    "mixtral",
    "olmoe",
    "qwen2_moe with null experts",
    "gpt_oss",
    "deepseek_v3",
    "granitemoe",
    "phimoe",
)


def groups_of(mixture: Mixture) -> list[list[list[int]]]:
    found: list[list[list[int]]] = mixture.model.config.expertrag_surgery[-1]["experts"]
    return found


@pytest.mark.parametrize("family", _FAMILIES)
def test_as_many_groups_as_experts_change_no_bit(family: str) -> None:
    mixture = mixture_of(family, **SIZES[family])
    whole = merge_experts(mixture, profile_of(mixture), groups=1.0)
    assert same_weights(mixture, whole)
    assert torch.equal(logits(whole), logits(mixture))


@pytest.mark.parametrize("family", ["mixtral", "gpt_oss", "deepseek_v3"])
def test_neurons_are_read_and_written(family: str) -> None:
    """An expert computes the same, whatever the order of its neurons."""
    mixture = mixture_of(family, **SIZES[family])
    before = logits(mixture)
    for layer in layers_of(mixture):
        layout = NeuronLayout.of(layer.experts)
        kept = {name: value.clone() for name, value in layer.weights.items()}
        neurons = layout.read(layer.weights, 1)
        layout.write(layer.weights, 1, neurons)
        assert all(torch.equal(value, kept[name]) for name, value in layer.weights.items())
        order = torch.randperm(len(neurons))
        for expert in range(mixture.num_experts):
            layout.write(layer.weights, expert, layout.read(layer.weights, expert)[order])
        assert not torch.equal(layer.experts.down_proj, kept["experts.down_proj"])
    torch.testing.assert_close(logits(mixture), before, atol=1e-4, rtol=1e-4)


def test_the_alignment_is_the_best_of_all() -> None:
    target, neurons = torch.randn(2, 6, 9, generator=torch.Generator().manual_seed(0))
    best = max(
        itertools.permutations(range(6)),
        key=lambda order: float((target * neurons[list(order)]).sum()),
    )
    assert alignment(target, neurons).tolist() == list(best)
    order = torch.randperm(6)
    assert torch.equal(target[order][alignment(target, target[order])], target)


def _plain_groups(
    frequency: list[float], similarity: list[list[float]], count: int, parts: int
) -> list[list[int]]:
    """The grouping of the paper, with the same number of dominant experts in each layer."""
    size = len(frequency) // parts
    found: dict[int, list[int]] = {}
    for part in range(parts):
        own = range(part * size, (part + 1) * size)
        ranked = sorted(own, key=lambda expert: -frequency[expert])
        found |= {expert: [expert] for expert in sorted(ranked[: count // parts])}
        for expert in sorted(ranked[count // parts :]):
            near = [other for other in found if other in own]
            found[max(near, key=lambda other: similarity[expert][other])].append(expert)
    return list(found.values())


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_groups_are_those_of_the_paper(parts: int) -> None:
    generator = torch.Generator().manual_seed(parts)
    for _ in range(20):
        frequency = torch.rand(16, generator=generator)
        similarity = torch.rand(16, 16, generator=generator) * 1.8 - 0.9
        found = group_experts(frequency, similarity, 8, parts)
        assert found == _plain_groups(frequency.tolist(), similarity.tolist(), 8, parts)


def _plain_merge(mixture: Mixture, place: int, group: list[int], used: list[float]) -> Any:
    """Gate, up and down of a merged expert, by the paper's equations; of plain layouts."""
    experts = layers_of(mixture)[place].experts
    parts = [
        (*experts.gate_up_proj[expert].double().chunk(2), experts.down_proj[expert].double())
        for expert in group
    ]
    size = len(parts[0][0])
    aligned = []
    for gate, up, down in parts:
        best = max(
            itertools.permutations(range(size)),
            key=lambda order: float(
                (parts[0][0] * gate[list(order)]).sum()
                + (parts[0][1] * up[list(order)]).sum()
                + (parts[0][2] * down[:, list(order)]).sum()
            ),
        )
        aligned.append((gate[list(best)], up[list(best)], down[:, list(best)]))
    return [
        sum(weight * each[part] for weight, each in zip(used, aligned, strict=True)) / sum(used)
        for part in range(3)
    ]


def test_merged_experts_are_means_of_aligned_neurons_by_frequency() -> None:
    mixture = mixture_of("olmoe", num_experts=6, intermediate_size=5)
    profile = profile_of(mixture)
    merged = merge_experts(mixture, profile, groups=3, denominators=Denominators.RENORMALISE)
    used = profile.domains["any"].selected
    assert any(len(group) > 1 for group in groups_of(merged)[0])
    for place, groups in enumerate(groups_of(merged)):
        for number, group in enumerate(groups):
            gate, up, down = _plain_merge(mixture, place, group, used[place, group].tolist())
            own = layers_of(merged)[place].experts
            torch.testing.assert_close(own.gate_up_proj[number], torch.cat([gate, up]).float())
            torch.testing.assert_close(own.down_proj[number], down.float())
            rows = layers_of(merged)[place].router.weight, layers_of(mixture)[place].router.weight
            assert torch.equal(rows[0][number], rows[1][group[0]])


def _permuted_copies(mixture: Mixture, copied: list[int], *, rows: bool) -> None:
    """Make each expert a copy of another one with its neurons in another order.

    :param rows: also give it the same row, bias and correction of the router.
    """
    for layer in layers_of(mixture):
        layout, weights = NeuronLayout.of(layer.experts), layer.weights
        for name, value in weights.items():
            if rows or name.startswith("experts."):
                value.data.copy_(value.data[copied].clone())
        for expert in range(mixture.num_experts - mixture.null_experts):
            neurons = layout.read(weights, expert)
            layout.write(weights, expert, neurons[torch.randperm(len(neurons))])


@pytest.mark.parametrize("family", ["mixtral", "gpt_oss", "granitemoe", "deepseek_v3"])
def test_equal_experts_of_a_family_that_renormalises_merge_without_loss(family: str) -> None:
    mixture = mixture_of(family, **SIZES[family])
    _permuted_copies(mixture, [0] * mixture.num_experts, rows=False)
    merged = merge_experts(mixture, profile_of(mixture), groups=0.5)
    assert merged.num_experts == mixture.num_experts // 2
    assert any(len(group) > 1 for group in groups_of(merged)[0])
    torch.testing.assert_close(logits(merged), logits(mixture), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("family", "change"),
    [
        ("mixtral", {"num_local_experts": 8}),
        ("olmoe", {"num_experts": 8}),
        ("gpt_oss", {"num_local_experts": 8}),
        ("deepseek_v2", {"n_routed_experts": 8}),
        ("deepseek_v3, halves rotated", {"norm_topk_prob": True}),
    ],
)
def test_tokens_that_chose_whole_groups_lose_nothing(family: str, change: dict[str, Any]) -> None:
    mixture = mixture_of(family, **change, num_experts_per_tok=4)
    _permuted_copies(mixture, [0, 1, 2, 3, 3, 2, 1, 0], rows=True)
    merged = merge_experts(mixture, profile_of(mixture), groups=4, per_token=2)
    assert all(
        sorted(map(sorted, groups)) == [[0, 7], [1, 6], [2, 5], [3, 4]]
        for groups in groups_of(merged)
    )
    torch.testing.assert_close(logits(merged), logits(mixture), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(engine_logits(merged.model), logits(merged), atol=1e-3, rtol=1e-3)


def test_tokens_that_chose_one_expert_lose_nothing() -> None:
    """Of two equal experts, each had half of the probability that the merged one would have."""
    mixture = mixture_of("olmoe", num_experts=8, num_experts_per_tok=1)
    _permuted_copies(mixture, [0, 1, 2, 3, 3, 2, 1, 0], rows=True)
    profile = profile_of(mixture)
    merged = merge_experts(mixture, profile, groups=4)
    torch.testing.assert_close(logits(merged), logits(mixture), atol=1e-4, rtol=1e-4)
    left = merge_experts(mixture, profile, groups=4, denominators=Denominators.RENORMALISE)
    assert (logits(left) - logits(mixture)).abs().max() > 0.01


def test_groups_of_a_router_stay_apart() -> None:
    mixture = mixture_of("deepseek_v3", n_routed_experts=16)
    merged = merge_experts(mixture, profile_of(mixture), groups=8)
    for groups in groups_of(merged):
        parts = [[expert // 4 for expert in group] for group in groups]
        assert all(len(set(part)) == 1 for part in parts)
        assert [part[0] for part in parts] == [0, 0, 1, 1, 2, 2, 3, 3]
    with pytest.raises(InvalidArgument, match="use 8, 12 or 16"):
        merge_experts(mixture, profile_of(mixture), groups=4)
    torch.testing.assert_close(engine_logits(merged.model), logits(merged), atol=1e-3, rtol=1e-3)


def test_null_experts_are_not_merged() -> None:
    mixture = mixture_of("qwen2_moe with null experts", num_experts=11)
    merged = merge_experts(mixture, profile_of(mixture), groups=3)
    assert (merged.num_experts, merged.null_experts) == (6, 3)
    for layer, groups in zip(layers_of(merged), groups_of(merged), strict=True):
        assert groups[3:] == [[8], [9], [10]]
        assert layer.experts.down_proj[:3].any() and not layer.experts.down_proj[3:].any()
    torch.testing.assert_close(engine_logits(merged.model), logits(merged), atol=1e-3, rtol=1e-3)


def test_super_experts_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = mixture_of("mixtral", num_local_experts=8)
    supers = torch.zeros(3, 8, dtype=torch.bool)
    supers[1, 2] = True
    monkeypatch.setattr(ExpertProfile, "super_experts", lambda self: supers)
    products = torch.zeros(3, 8, 8)
    products[:] = torch.eye(8) * 10
    products[:, :, 2] = products[:, 2, :] = 9  # all are most like the super expert
    profile = planted_profile(mixture, selected=torch.arange(24.0).view(3, 8), products=products)
    merged = merge_experts(mixture, profile, groups=3)
    assert groups_of(merged)[1][0] == [2]
    own = layers_of(merged)[1].experts, layers_of(mixture)[1].experts
    assert torch.equal(own[0].down_proj[0], own[1].down_proj[2])
    supers[1] = True
    with pytest.raises(InvalidArgument, match=r"keep 8 or more$"):
        merge_experts(mixture, profile, groups=3)


def test_named_experts_are_not_merged() -> None:
    mixture = mixture_of("mixtral")
    mixture.model.config.update({"expert_names": ["shared", "law", "art", "news", "base"]})
    with pytest.raises(InvalidArgument, match="llm prune"):
        merge_experts(mixture, profile_of(mixture), groups=2)


@pytest.mark.parametrize(("family", "per_token"), [("mixtral", 4), ("mixtral", 0), ("phimoe", 1)])
def test_impossible_numbers_of_experts_per_token_are_refused(family: str, per_token: int) -> None:
    mixture = mixture_of(family)
    with pytest.raises(InvalidArgument, match="per token"):
        merge_experts(mixture, profile_of(mixture), groups=3, per_token=per_token)
