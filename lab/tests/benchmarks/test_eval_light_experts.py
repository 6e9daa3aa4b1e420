"""The benchmark of light experts: its statistics by hand, and its forms of a tiny mixture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from eval_light_experts import FULL, LightBench, dropped
from fixture_samples import TRAFFIC, tiny_fixture
from light_tables import light
from surgery_stats import closed
from surgery_texts import losses_of

from expertrag_index.types import silent
from expertrag_lab.surgery.changes.light_training import LightRecipe
from expertrag_lab.surgery.mixture import Mixture


@pytest.fixture(scope="module")
def mixture() -> Mixture:
    return tiny_fixture(top_k=3)


def test_the_share_of_the_gap_that_is_closed() -> None:
    full = {"a": np.array([1.0, 3.0]), "b": np.array([10.0])}
    before = {"a": np.array([2.0, 4.0]), "b": np.array([15.0])}  # rises: 2/4 and 5/10
    after = {"a": np.array([1.2, 3.2]), "b": np.array([12.0])}  # rises: .4/4 and 2/10
    found = closed(full, before, after)
    assert found.mean == pytest.approx(1 - (0.1 + 0.2) / (0.5 + 0.5))
    # a's resamples: both, or one twice: rises of 2/6 and .4/6, or of 2/2 and .4/2
    ends = sorted(1 - (part + 0.2) / (whole + 0.5) for part, whole in ((0.4 / 6, 2 / 6), (0.2, 1)))
    assert [found.low, found.high] == pytest.approx(ends)
    assert found.n == 3
    assert closed(full, before, full).low == pytest.approx(1)
    assert closed(full, before, before).high == pytest.approx(0)


def test_dropped_experts_are_those_of_the_least_weights(mixture: Mixture) -> None:
    fewer = dropped(mixture, 1)
    rows = torch.randn(6, 32)
    for layer, before in zip(fewer.layers, mixture.layers, strict=True):
        _, weights, index = before.router(rows)
        best = index[:, :1].contiguous(), weights[:, :1].contiguous()
        _, own, chosen = layer.router(rows)
        torch.testing.assert_close(
            layer.experts(rows, chosen, own), before.experts(rows, *best), atol=1e-6, rtol=1e-5
        )


def test_all_forms_are_compared_with_the_whole_mixture(mixture: Mixture, tmp_path: Path) -> None:
    recipe = LightRecipe(steps=2, batch=2)
    bench = LightBench(mixture, TRAFFIC, TRAFFIC, recipe, tmp_path, silent)
    body = bench.body()
    runs = body["runs"]
    assert list(runs) == [FULL, "dropped 1", "light 1"]
    whole, less = (losses_of(item.model, TRAFFIC) for item in (mixture, dropped(mixture, 1)))
    rises = [float(less[name].tokens.sum() / whole[name].tokens.sum()) - 1 for name in TRAFFIC]
    assert runs["dropped 1"]["loss"]["mean"] == pytest.approx(sum(rises) / 2, rel=1e-4)
    assert "loss_closed" not in runs["dropped 1"] and runs["light 1"]["loss_closed"]["n"] == 3
    assert runs["light 1"]["replies"]["n"] == 2  # b has none
    rows = list(light(body))[2:]
    assert [row.split("|")[1].strip() for row in rows] == [
        "3, all",
        "1, the others dropped",
        "1, the others light",
    ]
    again = LightBench(mixture, TRAFFIC, TRAFFIC, recipe, tmp_path, silent)  # from the folder
    assert again.body() == body
