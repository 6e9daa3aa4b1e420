"""The statistics of eval_surgery.py by hand, and its losses and mixtures against plain ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from fixture_samples import TRAFFIC, tiny_fixture
from profile_samples import profile_of
from surgery_figures import SurgeryFigures
from surgery_stats import by_domain, mean_of, others, own, rise
from surgery_tables import printed
from surgery_texts import PromptLosses, Traffic, losses_of
from surgery_variants import (
    FULL,
    OTHERS,
    SHARES,
    SUPER,
    SurgeryBench,
    as_many_others,
    models_by,
    pruned_name,
    silenced,
)

from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile, Method


@pytest.fixture(scope="module")
def mixture() -> Mixture:
    return tiny_fixture(top_k=2)


def _profile(mixture: Mixture) -> ExpertProfile:
    torch.manual_seed(0)
    made = profile_of({name: torch.rand(len(mixture.layers), 8) for name in "ab"})
    return replace(made, numbers=tuple(layer.number for layer in mixture.layers))


def test_a_rise_is_the_mean_over_domains_of_paired_sums() -> None:
    full = {"a": np.array([1.0, 3.0]), "b": np.array([10.0])}
    after = {"a": np.array([1.5, 3.5]), "b": np.array([11.0])}
    found = rise(full, full, after)
    assert found.mean == pytest.approx((1.0 / 4.0 + 1.0 / 10.0) / 2)
    # a's resamples: both, or one twice: 1/4, .5/1 or .5/3
    assert found.low == pytest.approx((0.5 / 3 + 0.1) / 2)
    assert found.high == pytest.approx((0.5 + 0.1) / 2)
    assert found.n == 3
    assert by_domain(full, after) == {"a": pytest.approx(0.25), "b": pytest.approx(0.1)}
    between = rise(full, {**full, "a": np.array([1.1, 3.0])}, after)
    assert between.mean == pytest.approx((0.9 / 4.0 + 0.1) / 2)
    with pytest.raises(ValueError, match="nothing"):
        rise({"a": np.array([])}, full, after)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        full = {name: rng.uniform(1, 3, 60) for name in "ab"}
        after = {name: values * 1.1 + rng.normal(0, 0.3, 60) for name, values in full.items()}
        found = rise(full, full, after)
        held += found.low <= 0.1 <= found.high
    assert 88 <= held <= 100


def test_own_and_other_profiles_are_told_apart() -> None:
    models = {
        made: {domain: np.array([value]) for domain, value in zip("abc", values, strict=True)}
        for made, values in {"a": (1, 2, 3), "b": (4, 5, 6), "c": (7, 8, 10)}.items()
    }
    assert {name: float(item[0]) for name, item in own(models).items()} == {"a": 1, "b": 5, "c": 10}
    found = {name: float(item[0]) for name, item in others(models).items()}
    assert found == {"a": 5.5, "b": 5.0, "c": 4.5}
    assert float(mean_of([models["a"], models["b"]])["b"][0]) == 3.5


def test_losses_are_those_of_each_prompt_alone(mixture: Mixture) -> None:
    found = losses_of(mixture.model, TRAFFIC)
    for domain, item in TRAFFIC.items():
        for place, (tokens, reply) in enumerate(zip(item.tokens, item.replies, strict=True)):
            with torch.inference_mode():
                logits = mixture.model(input_ids=torch.tensor([tokens])).logits[0, :-1]
            each = torch.nn.functional.cross_entropy(
                logits, torch.tensor(tokens[1:]), reduction="none"
            ).double()
            assert found[domain].tokens[place] == pytest.approx(float(each.sum()), rel=1e-5)
            expected = float(each[-reply:].sum()) if reply else 0.0
            assert found[domain].replies[place] == pytest.approx(expected, rel=1e-5)
    assert TRAFFIC["a"].counts == (6, 3)


def test_as_many_other_experts_of_each_layer_are_dropped() -> None:
    chosen = torch.tensor([[True, False, True, False], [False] * 4])
    drawn = {tuple(map(tuple, as_many_others(chosen, seed).tolist())) for seed in range(6)}
    assert drawn == {((False, True, False, True), (False,) * 4)}
    wide = torch.zeros(1, 9, dtype=torch.bool)
    wide[0, 4] = True
    seen = [int(as_many_others(wide, seed).float().argmax()) for seed in range(30)]
    assert 4 not in seen and len(set(seen)) > 3


def test_a_silenced_expert_computes_nothing(mixture: Mixture) -> None:
    mask = torch.zeros(2, 8, dtype=torch.bool)
    assert _logits(silenced(mixture, mask)).equal(_logits(mixture))
    mask[:] = True
    none = _logits(silenced(mixture, mask))
    assert not none.equal(_logits(mixture))
    hooks = [
        layer.experts.register_forward_hook(lambda _module, _given, output: output * 0)
        for layer in mixture.layers
    ]
    torch.testing.assert_close(none, _logits(mixture))
    for hook in hooks:
        hook.remove()


def _logits(mixture: Mixture) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = mixture.model(input_ids=torch.arange(3, 30)[None]).logits
    return logits


def test_every_variant_is_made_and_has_a_place_in_the_tables(mixture: Mixture) -> None:
    profile = _profile(mixture)
    profile.domains["a"].peak.fill_(1.0)[1, 3] = 1000.0  # a super expert
    calibration = [tokens for item in TRAFFIC.values() for tokens in item.tokens]
    bench = SurgeryBench(mixture, profile, seeds=2, draws=2, calibration=calibration)
    variants = bench.variants()
    measured = {name: losses_of(make().model, TRAFFIC) for name, make in variants.items()}
    assert len(measured) == 1 + len(SHARES) * (4 * 3 + 2) + 2 * len(SHARES) + 1 + 1 + 2
    half = variants[pruned_name(0.5, Method.EASY_EP, "b")]()
    assert half.num_experts == 4
    body = SurgeryFigures(measured, TRAFFIC).body()
    assert len(body["kept"]) == len(SHARES) * (4 * 3 + 1)
    (row,) = [
        item
        for item in body["kept"]
        if (item["share"], item["method"], item["profile"]) == (0.5, "easy-ep", "own")
    ]
    made = {domain: measured[pruned_name(0.5, Method.EASY_EP, domain)] for domain in "ab"}
    ratios = [made[d][d].tokens.sum() / measured[FULL][d].tokens.sum() - 1 for d in "ab"]
    assert row["loss"]["mean"] == pytest.approx(sum(ratios) / 2)
    assert row["replies"]["n"] == 2
    assert set(body["super"]) == {"dropped", "others"}
    table = "\n".join(printed(body))
    assert "| 50% | easy-ep | " in table and "| super experts | " in table


def test_mixtures_are_found_by_their_names() -> None:
    names = ["0.5 reap a", "0.5 reap mix", "0.5 random 0", "0.75 reap a", SUPER, f"{OTHERS} 0"]
    assert models_by(names, 0.5, Method.REAP) == {"a": "0.5 reap a", "mix": "0.5 reap mix"}
    assert list(models_by(names, 0.5, Method.RANDOM)) == ["0"]


def test_without_super_experts_nothing_is_dropped() -> None:
    losses: Mapping[str, Mapping[str, PromptLosses]] = {
        FULL: {"a": PromptLosses(np.array([1.0]), np.array([1.0]))}
    }
    figures = SurgeryFigures(losses, {"a": Traffic(((1, 2),), (1,))})
    assert figures._super() == {}
