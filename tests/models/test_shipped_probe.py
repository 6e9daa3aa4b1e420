"""The shipped probe: trained with the served prompts, with good figures on its card."""

from __future__ import annotations

import json

import pytest

from expertrag import models
from expertrag.llm import prompt
from expertrag.llm.probe import STATES, load_probe
from expertrag.models.choice import LARGE

FOLDER = models.probe_of(LARGE)


def test_it_belongs_to_the_large_model_and_its_prompts() -> None:
    assert FOLDER is not None
    probe = load_probe(FOLDER)
    assert probe.owner.generator == LARGE
    assert probe.owner.prompts == prompt.fingerprint(prompt.INSTRUCT), (
        "the prompts have changed: train it again (make qwen-probe DATA=...)"
    )
    assert probe.weights.shape == (len(STATES) * 1536,)
    assert models.probe_of("smollm2-135m-reader") is None


def test_its_card_has_its_figures() -> None:
    assert FOLDER is not None
    training = json.loads((FOLDER / "probe.json").read_text())["training"]
    card = (FOLDER / "README.md").read_text()
    assert training["command"] in card
    assert {item["name"]: item["left_out"] for item in training["sets"]}["squad2"] > 0.8
    for item in training["sets"]:
        assert f"| {item['prompts']:,} ({item['lacking']:,}) |" in card
        assert item["left_out"] > item["abstains"]


def test_the_scale_of_its_family_is_that_of_its_training() -> None:
    assert FOLDER is not None
    words = json.loads((FOLDER / "probe.json").read_text())["training"]["words"]
    scale = prompt.INSTRUCT.doubt
    assert (scale.slope, scale.intercept) == pytest.approx((words["slope"], words["intercept"]))
