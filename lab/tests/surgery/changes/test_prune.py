"""Pruned mixtures are the original without some experts, whatever the family's router does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from made_mixtures import (
    IDS,
    SIZES,
    engine_logits,
    greedy,
    layers_of,
    logits,
    mixture_of,
    planted_profile,
    profile_of,
    same_weights,
    texts,
)
from model_fixtures import lowered
from torch.nn import functional

from expertrag.api.errors import InvalidArgument
from expertrag.llm.engine.families import correction_of
from expertrag_kernels import Format
from expertrag_kernels.steps import SequenceRows
from expertrag_lab.surgery.changes.denominators import Denominators
from expertrag_lab.surgery.changes.prune import prune
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile, Method

_FAMILIES = (
    "mixtral",
    "olmoe",
    "qwen2_moe with null experts",
    "gpt_oss",
    "deepseek_v2 in groups",
    "deepseek_v3",
    "glm4_moe",
    "granitemoeshared",
    "phimoe",
)


def kept_of(mixture: Mixture) -> list[list[int]]:
    found: list[list[int]] = mixture.model.config.expertrag_surgery[-1]["experts"]
    return found


@pytest.mark.parametrize("family", _FAMILIES)
def test_keeping_all_changes_no_bit(family: str) -> None:
    mixture = mixture_of(family, **SIZES[family])
    for keep in (1.0, mixture.num_experts - mixture.null_experts):
        whole = prune(mixture, profile_of(mixture), keep=keep, method=Method.EASY_EP)
        assert same_weights(mixture, whole)
        assert torch.equal(logits(whole), logits(mixture))


@pytest.mark.parametrize("method", [method for method in Method if method is not Method.RANDOM])
def test_the_best_experts_by_each_method_are_kept(method: Method) -> None:
    mixture = mixture_of("qwen2_moe", num_experts=8)
    profile = profile_of(mixture, {"a": texts(3), "b": texts(2, seed=1)})
    pruned = prune(mixture, profile, keep=3, method=method, domains=["b"])
    use = profile.domains["b"]
    values = {
        Method.EASY_EP: use.output_aware / use.tokens,
        Method.PREMOE: use.selection / use.tokens,
        Method.REAP: use.weighted_norm / use.selected.clamp(min=1e-9),
        Method.FREQUENCY: use.selected / use.tokens,
    }[method].tolist()
    expected = [
        sorted(sorted(range(8), key=lambda expert: (-row[expert], expert))[:3]) for row in values
    ]
    assert kept_of(pruned) == expected
    for layer, before, kept in zip(layers_of(pruned), layers_of(mixture), expected, strict=True):
        assert torch.equal(layer.router.weight, before.router.weight[kept])
        assert torch.equal(layer.experts.gate_up_proj, before.experts.gate_up_proj[kept])


def test_random_experts_depend_on_the_seed_alone() -> None:
    mixture = mixture_of("mixtral", num_local_experts=8)
    profile, other = profile_of(mixture), profile_of(mixture, {"b": texts(2, seed=1)})
    chosen = [
        kept_of(prune(mixture, given, keep=0.5, method=Method.RANDOM, seed=seed))
        for given, seed in ((profile, 1), (other, 1), (profile, 2))
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def _masked(mixture: Mixture, place: int, dropped: list[int]) -> Callable[..., Any]:
    """The router of a layer as its paper has it, where dropped experts have no score."""
    router, config = layers_of(mixture)[place].router, mixture.model.config
    kind, chosen = config.model_type, mixture.top_k

    def route(hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rows = hidden.reshape(-1, hidden.shape[-1])
        raw = functional.linear(rows, router.weight, getattr(router, "bias", None))
        raw[:, dropped] = -torch.inf
        correction = correction_of(router)
        if correction is None:
            scores = choice = raw.softmax(-1)
        else:
            scores = raw.sigmoid()
            choice = (scores + correction).index_fill(1, torch.tensor(dropped), -torch.inf)
        if mixture.groups > 1:
            parts = choice.view(len(rows), mixture.groups, -1)
            value = parts.topk(1 if correction is None else 2).values.sum(-1)
            best = value.topk(config.topk_group).indices
            mask = torch.ones_like(value, dtype=torch.bool).scatter(1, best, False)
            choice = parts.masked_fill(mask[..., None], -torch.inf).flatten(1)
        index = choice.topk(chosen).indices
        weights = scores.gather(1, index)
        normalised = kind in ("mixtral", "gpt_oss", "granitemoeshared")
        if normalised or (correction is not None and config.norm_topk_prob):
            weights = weights / weights.sum(-1, keepdim=True)
        return raw, weights * getattr(config, "routed_scaling_factor", 1.0), index

    return route


@pytest.mark.parametrize("family", [family for family in _FAMILIES if family != "phimoe"])
def test_routers_choose_as_if_dropped_experts_had_no_score(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture = mixture_of(family, **SIZES[family])
    pruned = prune(
        mixture, profile_of(mixture), keep=0.5, method=Method.EASY_EP,
        denominators=Denominators.RENORMALISE,
    )  # fmt: skip
    found, whole = logits(pruned), logits(mixture)
    for place, (layer, kept) in enumerate(zip(layers_of(mixture), kept_of(pruned), strict=True)):
        dropped = [expert for expert in range(mixture.num_experts) if expert not in kept]
        assert len(dropped) == (mixture.num_experts - mixture.null_experts) // 2
        monkeypatch.setattr(layer.router, "forward", _masked(mixture, place, dropped))
    torch.testing.assert_close(found, logits(mixture), atol=1e-4, rtol=1e-4)
    assert (found - whole).abs().max() > 0.01
    torch.testing.assert_close(engine_logits(pruned.model), found, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "family", ["olmoe", "qwen2_moe with null experts", "deepseek_v2 in groups"]
)
def test_kept_denominators_scale_experts_by_their_mean_probability(family: str) -> None:
    mixture = mixture_of(family, **SIZES[family])
    profile = profile_of(mixture, {"a": texts(3)})
    given: dict[str, Any] = {"keep": 0.5, "method": Method.REAP}
    kept = prune(mixture, profile, **given)
    left = prune(mixture, profile, **given, denominators=Denominators.RENORMALISE)
    seen: list[list[torch.Tensor]] = [[] for _ in layers_of(mixture)]
    hooks = [
        layer.router.register_forward_hook(
            lambda _, given, out, to=to: to.append(out[0].float().softmax(-1))
        )
        for layer, to in zip(layers_of(mixture), seen, strict=True)
    ]
    for text in texts(3):
        mixture.model(input_ids=torch.tensor([text]))
    for hook in hooks:
        hook.remove()
    for place, (layer, other) in enumerate(zip(layers_of(kept), layers_of(left), strict=True)):
        mass = float(torch.cat(seen[place])[:, kept_of(kept)[place]].sum(-1).mean())
        assert 0.05 < mass < 0.95
        torch.testing.assert_close(layer.experts.down_proj, other.experts.down_proj * mass)
        assert torch.equal(layer.experts.gate_up_proj, other.experts.gate_up_proj)
        assert torch.equal(layer.router.weight, other.router.weight)


@pytest.mark.parametrize("family", ["mixtral", "gpt_oss", "deepseek_v3", "phimoe"])
def test_other_families_have_no_denominators_to_keep(family: str) -> None:
    mixture = mixture_of(family, **SIZES[family])
    given: dict[str, Any] = {"keep": 0.5, "method": Method.FREQUENCY}
    pruned = prune(mixture, profile_of(mixture), **given)
    assert pruned.model.config.expertrag_surgery[0]["denominators"] == "renormalise"
    with pytest.raises(InvalidArgument, match="use auto"):
        prune(mixture, profile_of(mixture), **given, denominators=Denominators.KEEP)


@pytest.mark.parametrize(
    ("family", "change"),
    [
        ("mixtral", {"num_local_experts": 8}),
        ("gpt_oss", {"num_local_experts": 8}),
        ("deepseek_v3, halves rotated", {}),
        ("qwen2_moe", {"num_experts": 8, "num_experts_per_tok": 1}),
    ],
)
def test_experts_that_no_token_uses_are_not_missed(family: str, change: dict[str, Any]) -> None:
    """Routers with rows a, -a, b, -b, and zeros: the two best of the first four are above zero."""
    mixture = mixture_of(family, **change)
    sharp = 300.0 if family == "qwen2_moe" else 1.0  # dropped experts share its softmax
    for layer in layers_of(mixture):
        rows = torch.randn(2, layer.router.weight.shape[1]) * sharp
        layer.router.weight.data.zero_()
        layer.router.weight.data[[1, 2, 4, 7]] = torch.cat([rows, -rows])
        for value in (getattr(layer.router, "bias", None), correction_of(layer.router)):
            if value is not None:
                value.data.zero_()
    profile = profile_of(mixture)
    for method in (Method.EASY_EP, Method.PREMOE, Method.REAP, Method.FREQUENCY):
        pruned = prune(mixture, profile, keep=4, method=method)
        assert kept_of(pruned) == [[1, 2, 4, 7]] * len(layers_of(mixture))
    assert greedy(pruned) == greedy(mixture)
    torch.testing.assert_close(logits(pruned), logits(mixture), atol=1e-3, rtol=1e-3)


def test_super_experts_stay_unless_forced() -> None:
    mixture = mixture_of("mixtral", num_local_experts=8)
    selected = torch.arange(24.0).view(3, 8)
    peak = torch.ones(3, 8)
    peak[1, 0] = 100.0  # the least used one of its layer
    profile = planted_profile(mixture, selected=selected, peak=peak)
    given: dict[str, Any] = {"keep": 2, "method": Method.FREQUENCY}
    assert kept_of(prune(mixture, profile, **given)) == [[6, 7], [0, 7], [6, 7]]
    assert kept_of(prune(mixture, profile, **given, force=True)) == [[6, 7]] * 3


def test_more_super_experts_than_are_kept_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = mixture_of("mixtral", num_local_experts=8)
    profile = planted_profile(mixture, selected=torch.ones(3, 8))
    supers = torch.zeros(3, 8, dtype=torch.bool)
    supers[2, 1:4] = True
    monkeypatch.setattr(ExpertProfile, "super_experts", lambda self: supers)
    given: dict[str, Any] = {"method": Method.FREQUENCY}
    with pytest.raises(InvalidArgument, match="keep 3 or more, or --force"):
        prune(mixture, profile, keep=2, **given)
    assert kept_of(prune(mixture, profile, keep=3, **given))[2] == [1, 2, 3]


@pytest.mark.parametrize(
    ("family", "possible", "refused", "words"),
    [
        (
            "deepseek_v3",
            [8, 12, 16],
            [4, 6, 10],
            "two best experts, and all 4 groups keep .* use 8, 12 or 16",
        ),
        ("deepseek_v2 in groups", [4, 8, 12, 16], [2, 6], "use 4, 8, 12 or 16"),
        ("glm4_moe", [4, 6, 16], [2, 7], "use 4, 6, 8"),
        ("phimoe", [2, 3, 8], [1, 9], "use 2 to 8"),
        ("mixtral", [1, 8], [0, 9], "use 1 to 8"),
        ("qwen2_moe with null experts", [2, 8], [1, 9], "use 2 to 8"),
    ],
)
def test_groups_keep_the_same_number_of_experts(
    family: str, possible: list[int], refused: list[int], words: str
) -> None:
    mixture = mixture_of(family, **SIZES[family])
    profile = profile_of(mixture)
    for keep in possible:
        pruned = prune(mixture, profile, keep=keep, method=Method.EASY_EP)
        assert pruned.num_experts == keep + mixture.null_experts
        size = (mixture.num_experts - mixture.null_experts) // mixture.groups
        for kept in kept_of(pruned):
            own = [expert // size for expert in kept[:keep]]
            assert {own.count(group) for group in set(own)} == {keep // mixture.groups}
        assert logits(pruned).isfinite().all()
    for keep in refused:
        with pytest.raises(InvalidArgument, match=words):
            prune(mixture, profile, keep=keep, method=Method.EASY_EP)


@pytest.mark.parametrize("share", [0.0, 1.5, -0.1, float("nan")])
def test_an_impossible_share_is_refused(share: float) -> None:
    mixture = mixture_of("mixtral")
    with pytest.raises(InvalidArgument, match="share above 0"):
        prune(mixture, profile_of(mixture), keep=share, method=Method.REAP)


def test_a_share_is_rounded_up() -> None:
    mixture = mixture_of("deepseek_v3", n_routed_experts=16)
    pruned = prune(mixture, profile_of(mixture), keep=0.55, method=Method.REAP)
    assert pruned.num_experts == 12
    with pytest.raises(InvalidArgument, match="4 of 16 experts a layer are not possible"):
        prune(mixture, profile_of(mixture), keep=0.2, method=Method.REAP)


def test_a_token_uses_no_more_experts_than_are_left() -> None:
    mixture = mixture_of("mixtral", num_local_experts=8, num_experts_per_tok=4)
    pruned = prune(mixture, profile_of(mixture), keep=3, method=Method.REAP)
    assert pruned.top_k == layers_of(pruned)[0].router.top_k == 3
    torch.testing.assert_close(engine_logits(pruned.model), logits(pruned), atol=1e-3, rtol=1e-3)


def test_null_experts_stay() -> None:
    mixture = mixture_of("qwen2_moe with null experts")
    pruned = prune(mixture, profile_of(mixture), keep=2, method=Method.FREQUENCY, force=True)
    assert (pruned.num_experts, pruned.null_experts) == (5, 3)
    assert all(kept[2:] == [5, 6, 7] for kept in kept_of(pruned))
    assert not any(layer.experts.down_proj[2:].any() for layer in layers_of(pruned))


def test_named_experts_keep_their_names_in_every_layer() -> None:
    mixture = mixture_of("mixtral", num_local_experts=6, num_experts_per_tok=1)
    names = ["shared", "law", "art", "science", "news", "base"]
    mixture.model.config.update({"expert_names": names})
    profile = profile_of(mixture, {"science": texts(2), "other": texts(1)})
    given: dict[str, Any] = {"keep": 3, "method": Method.EASY_EP}
    pruned = prune(mixture, profile, **given, domains=["science"])
    assert pruned.model.config.expert_names == ["shared", "science", "base"]
    assert kept_of(pruned) == [[0, 3, 5]] * 3
    forced = prune(mixture, profile, **given, force=True)
    own = kept_of(forced)
    assert own == [own[0]] * 3
    assert forced.model.config.expert_names == [names[expert] for expert in own[0]]
    assert torch.equal(_text_by_expert(pruned.model, 1), _text_by_expert(mixture.model, 3))


def _text_by_expert(model: Any, expert: int) -> torch.Tensor:
    """Logits of a text that one expert reads, in every layer."""
    places = torch.arange(len(IDS))
    rows = [SequenceRows(0, len(IDS), torch.tensor([1]), expert=expert)]
    found: torch.Tensor = lowered(model, Format.F32).decoder.run(IDS, places, rows, places)[0]
    return found


def test_a_profile_of_another_shape_is_refused() -> None:
    mixture = mixture_of("mixtral")
    other = profile_of(mixture_of("mixtral", num_local_experts=4))
    with pytest.raises(InvalidArgument, match="profile this model"):
        prune(mixture, other, keep=2, method=Method.REAP)
    with pytest.raises(InvalidArgument, match="no domain 'law'"):
        prune(mixture, profile_of(mixture), keep=2, method=Method.REAP, domains=["law"])
