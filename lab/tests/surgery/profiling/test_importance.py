"""Super experts of profiles with known outputs."""

from __future__ import annotations

import pytest
import torch
from profile_samples import mixture_of, profile_of

from expertrag_lab.surgery.profiling.importance import ExpertProfile
from expertrag_lab.surgery.profiling.observe import observe

QWEN3 = (744.0, 540.0, 430.0, 63.5, 19.1, 12.1)
"""Largest outputs of Qwen3-30B-A3B as Su et al. print them; the first three are super experts."""


def _supers(peak: torch.Tensor) -> list[list[int]]:
    found: list[list[int]] = profile_of({"all": peak}, peak=peak.double()).super_experts().tolist()
    return [[expert for expert, yes in enumerate(row) if yes] for row in found]


def test_the_published_super_experts_are_found() -> None:
    peak = torch.full((6, 128), 1.5)
    for layer, value in enumerate(QWEN3):
        peak[layer, 10 * layer] = value
    assert _supers(peak) == [[0], [10], [20], [], [], []]


@pytest.mark.parametrize(("times", "found"), [(9.9, []), (10.1, [5])])
def test_the_output_must_be_ten_times_the_usual_one(times: float, found: list[int]) -> None:
    peak = torch.linspace(1.0, 3.0, 9).repeat(3, 1)  # the median is 2
    peak[1, 5] = 2.0 * times
    assert _supers(peak) == [[], found, []]


def test_outputs_that_grow_with_depth_are_no_super_experts() -> None:
    """The last layer is large as a whole: its largest is usual there."""
    peak = torch.ones(4, 8) * torch.tensor([[1.0], [1.0], [1.0], [40.0]])
    peak[3, 2] = 90.0
    assert _supers(peak) == [[], [], [], []]
    peak[3] /= 1000
    peak[3, 2] = 2.0  # large only in a layer that does little
    assert _supers(peak) == [[], [], [], []]


def test_experts_that_were_not_used_do_not_count() -> None:
    peak = torch.zeros(2, 8)
    assert _supers(peak) == [[], []]
    peak[0, :3] = torch.tensor([1.0, 1.0, 9.0])
    assert _supers(peak) == [[], []]
    peak[0, 2] = 11.0
    assert _supers(peak) == [[2], []]


@pytest.mark.parametrize("kind", ["qwen2_moe", "mixtral", "gpt_oss", "deepseek_v3"])
def test_random_models_have_none(kind: str) -> None:
    use = observe(mixture_of(kind), [range(3, 60), range(100, 160)])
    layers = tuple(range(len(use.peak)))
    assert not ExpertProfile("random", layers, {"all": use}).super_experts().any()
