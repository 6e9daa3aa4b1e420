"""Training one expert of a tiny random encoder: learns, resumes after a kill, stops early."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from embedder.conftest import Killed, domain_source
from encoder_fixtures import Encoders
from sentence_transformers import SentenceTransformer

from expertrag_index.types import silent
from expertrag_lab.embedder.contrastive import Point, best_point
from expertrag_lab.embedder.data import prepare
from expertrag_lab.embedder.experts import train_expert
from expertrag_lab.embedder.recipe import Recipe
from expertrag_lab.embedder.types import DomainData

RECIPE = Recipe(epochs=3, batch=16, learning_rate=5e-3, rank=4, max_tokens=32, evaluations=3)


@pytest.fixture(scope="module")
def data() -> DomainData:
    return prepare("trees", [domain_source("trees", 220)], most_pairs=160)


def test_an_expert_learns(encoder: Encoders, data: DomainData, tmp_path: Path) -> None:
    longer = replace(RECIPE, epochs=6)
    weights, report = train_expert(data, lambda: encoder("bert"), longer, tmp_path, silent)
    assert report.helps
    assert report.after["trees"] > report.before["trees"] + 0.02
    assert report.pairs == data.pairs == 160
    assert report.dev_queries == 33
    assert 0 < report.drift < 1
    assert report.points[-1].loss is not None and report.points[1].loss is not None
    assert report.points[-1].loss < report.points[1].loss
    assert all(value.dtype == torch.float32 for value in weights.values())


def test_a_killed_training_resumes_to_the_same_expert(
    encoder: Encoders, data: DomainData, tmp_path: Path
) -> None:
    whole, expected = train_expert(
        data, lambda: encoder("bert"), RECIPE, tmp_path / "whole", silent
    )

    def kill(stage: str, done: int, _total: int | None) -> None:
        if "dev nDCG" in stage and done == 15:  # between the first and the second evaluation
            raise Killed

    with pytest.raises(Killed):
        train_expert(data, lambda: encoder("bert"), RECIPE, tmp_path / "cut", kill)
    steps = []
    again, report = train_expert(
        data,
        lambda: encoder("bert"),
        RECIPE,
        tmp_path / "cut",
        lambda stage, done, _total: steps.append(done) if "dev nDCG" in stage else None,
    )
    assert steps[0] == 11  # the first after the first evaluation
    assert report.points == expected.points
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_a_finished_expert_is_not_trained_again(
    encoder: Encoders, data: DomainData, tmp_path: Path
) -> None:
    quick = replace(RECIPE, epochs=1, evaluations=1)
    first = train_expert(data, lambda: encoder("bert"), quick, tmp_path, silent)

    def never() -> SentenceTransformer:
        raise AssertionError("the base was loaded again")

    second = train_expert(data, never, quick, tmp_path, silent)
    assert second[1] == first[1]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}  # no pickle
    for path in files:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
    other = replace(quick, seed=1)
    with pytest.raises(AssertionError):
        train_expert(data, never, other, tmp_path, silent)
    # the same pairs among more documents: other negatives may be mined
    corpus = {**data.sources[0].corpus, "new": "a text that nobody asks for"}
    grown = replace(data, sources=(replace(data.sources[0], corpus=corpus),))
    with pytest.raises(AssertionError):
        train_expert(grown, never, quick, tmp_path, silent)
    assert train_expert(data, never, quick, tmp_path, silent)[1] == first[1]  # still there


def test_few_pairs_are_trained_for_more_epochs(
    encoder: Encoders, data: DomainData, tmp_path: Path
) -> None:
    long = replace(RECIPE, epochs=1, fewest_steps=25)
    _, report = train_expert(data, lambda: encoder("bert"), long, tmp_path, silent)
    assert report.points[-1].step == 30  # three epochs of ten steps


def test_a_point_that_harms_a_dev_set_does_not_count() -> None:
    base = Point(0, None, {"one": 0.5, "two": 0.5})
    harmful = Point(1, 0.1, {"one": 0.9, "two": 0.49})
    harmless = Point(2, 0.1, {"one": 0.6, "two": 0.5})
    assert best_point([base, harmful, harmless], most_harm=0.005) == 2
    assert best_point([base, harmful, harmless], most_harm=1.0) == 1
    assert best_point([base, harmful], most_harm=0.005) == 0


def test_training_stops_early_without_gain(
    encoder: Encoders, data: DomainData, tmp_path: Path
) -> None:
    idle = replace(RECIPE, learning_rate=1e-12, epochs=4, evaluations=8, patience=2)
    weights, report = train_expert(data, lambda: encoder("bert"), idle, tmp_path, silent)
    assert not report.helps
    assert len(report.points) == 3  # the base, and two evaluations without gain
    assert not any(value.any() for name, value in weights.items() if name.endswith("second"))
