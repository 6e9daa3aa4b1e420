"""Cosines of low-rank updates, against the updates themselves in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from lora_folders import ATTENTION, EVERY, write_lora
from model_families import model_of

from expertrag.llm.adapters.lora import LoraWeights, Projection
from expertrag.llm.adapters.peft_folder import read_peft
from expertrag_lab.surgery.candidates.updates import Updates, cosines, sum_of


@pytest.fixture(scope="module")
def updates(tmp_path_factory: pytest.TempPathFactory) -> list[Updates]:
    """Of adapters with other modules, ranks and scales, that share some projections."""
    model: Any = model_of("qwen2")
    folder = tmp_path_factory.mktemp("adapters")
    made = [
        write_lora(folder / "all", model, EVERY, rank=4),
        write_lora(folder / "attention", model, ATTENTION, rank=7, seed=1),
        write_lora(folder / "near", model, ("q_proj", "up_proj"), rank=4, lora_alpha=1),
        write_lora(folder / "apart", model, ("down_proj",), rank=2, seed=3),
    ]
    return [read_peft(each).weights for each in made]


def _expanded(update: Updates, places: dict[Projection, tuple[int, int]]) -> Any:
    """The whole update as one vector, with zeros where it leaves a projection alone."""
    parts = []
    for projection, shape in sorted(places.items()):
        whole = np.zeros(shape)
        if projection in update:
            down, up = (part.double().numpy() for part in update[projection])
            whole = up @ down
        parts.append(whole.ravel())
    return np.concatenate(parts)


def test_they_are_the_cosines_of_the_expanded_updates(updates: list[Updates]) -> None:
    places = {
        projection: (lora.up.shape[0], lora.down.shape[1])
        for update in updates
        for projection, lora in update.items()
    }
    whole = [_expanded(update, places) for update in updates]
    expected = [
        [one @ other / np.linalg.norm(one) / np.linalg.norm(other) for other in whole]
        for one in whole
    ]
    found = cosines(updates)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert abs(found[0, 1]) > 1e-3 and found[1, 3] == 0.0


def test_factors_of_the_same_update_are_the_same(updates: list[Updates]) -> None:
    """Where comparing the factors, as the authors do, finds that they differ."""
    draw = torch.Generator().manual_seed(5)
    turned, factors = {}, []
    for projection, (down, up) in updates[0].items():
        turn = torch.randn(len(down), len(down), generator=draw).double()
        turned[projection] = LoraWeights(turn.inverse() @ down.double(), up.double() @ turn)
        pair = down.double().flatten(), turned[projection].down.flatten()
        factors.append(float(torch.cosine_similarity(*pair, dim=0)))
    assert cosines([updates[0], turned])[0, 1] == pytest.approx(1.0)
    assert max(map(abs, factors)) < 0.9


def test_a_sum_is_the_sum_of_the_expanded_updates(updates: list[Updates]) -> None:
    joint = sum_of(updates)
    assert set(joint) == {projection for update in updates for projection in update}
    for projection, (down, up) in joint.items():
        parts = [update[projection] for update in updates if projection in update]
        expected = sum(part.up.double() @ part.down.double() for part in parts)
        torch.testing.assert_close(up.double() @ down.double(), expected)


def test_nothing_is_like_an_update_of_zeros(updates: list[Updates]) -> None:
    zeros = {name: LoraWeights(lora.down, lora.up * 0) for name, lora in updates[0].items()}
    np.testing.assert_array_equal(cosines([zeros, updates[0]])[0], [0.0, 0.0])
    assert cosines([]).shape == (0, 0)
