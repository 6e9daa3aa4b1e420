"""The campaigns find planted faults, and damage is noticed."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import planted_bugs
import pytest
from corruption import KINDS_OF_FILES, UNSEEN, built, damage, outcome_of
from planted_bugs import PLANTS, Plant, hunt, plant_in

ROOT = Path(__file__).parents[3]
IN_CI = ("skipped flush of a file", "ignored checksum of a segment", "lost write: deleted chunks")


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_CI)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {
        "power_loss": ["--seeds", "1", "--states", "60", "--kill-every", "0", "--again", "0"],
        "corruption": ["--seeds", "1", "--states", "60"],
        "model_check": ["--seeds", "1", "--steps", "20"],
    }
    monkeypatch.setattr(planted_bugs, "SIZES", sizes)
    (plant,) = [plant for plant in PLANTS if plant.name == name]
    found = hunt(plant)
    assert found.found
    assert found.first


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_the_code_of_a_plant_is_there(plant: Plant, tmp_path: Path) -> None:
    (original,) = ROOT.glob(f"*/{plant.file}")
    (tmp_path / plant.file).parent.mkdir(parents=True)
    shutil.copy(original, tmp_path / plant.file)
    plant_in(plant, tmp_path)
    code = (tmp_path / plant.file).read_text(encoding="utf-8")
    assert code != original.read_text(encoding="utf-8")
    compile(code, plant.file, "exec")
    with pytest.raises(ValueError, match="has changed"):
        plant_in(replace(plant, old="code that is not there"), tmp_path)


@pytest.mark.slow
def test_damage_is_noticed(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    models = built(0, whole)
    assert outcome_of(whole, models, random.Random(0)) == ("harmless", "")
    outcomes = set()
    for number in range(40):
        rng = random.Random(number)
        path = Path(shutil.copytree(whole, tmp_path / "store"))
        file, done = damage(path, KINDS_OF_FILES[number % 4], rng)
        outcome, problem = outcome_of(path, models, rng)
        assert problem == "", (file, done)
        outcomes.add(outcome)
        shutil.rmtree(path)
    assert {"refused", "told, and right", "harmless"} <= outcomes
    assert UNSEEN not in outcomes


def test_an_older_generation_must_say_so(tmp_path: Path) -> None:
    newest, _ = built(0, tmp_path / "store")
    lost = replace(newest, generation=newest.generation + 1)
    outcome = outcome_of(tmp_path / "store", (lost, newest), random.Random(0))
    assert outcome == (UNSEEN, "an older generation answers without a word")
