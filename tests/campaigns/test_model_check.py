"""A small model check, and that a difference from the model is told."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from changes import SETTINGS, Change, apply, plan
from comparison import BrokenPromiseError, WrongRankingError, compare_any
from corpus import make_document
from model_check import OPERATIONS, checked
from store_model import StoreModel, Version

from expertrag_index.errors import StoreNotFoundError


@pytest.mark.slow
def test_stores_hold_what_their_models_do() -> None:
    done: Counter[str] = Counter()
    for seed in range(3):
        operations, finding = checked(seed, 25)
        assert finding is None
        done += operations
    assert sum(done[name] for name in OPERATIONS) == 75
    assert done.keys() > {"add", "build", "delete", "migrate", "kill", "read", "repair"}


@pytest.fixture
def store(tmp_path: Path) -> tuple[Path, StoreModel]:
    rng = random.Random(1)
    change = Change("build", tuple(make_document(rng, number) for number in range(8)))
    model, _ = plan(change, StoreModel())
    apply(change, tmp_path / "store", "hashing", SETTINGS[0])
    compare_any(tmp_path / "store", [model], rng)
    return tmp_path / "store", model


def changed(model: StoreModel, **fields: object) -> StoreModel:
    """Return a model in which one document differs."""
    version = model.live["doc3"]
    other = Version(replace(version.document, **fields), version.expert)  # type: ignore[arg-type]
    live = {**model.live, "doc3": other}
    return replace(model, live=live, counted=(frozenset(live.values()),))


@pytest.mark.parametrize(
    "fields",
    [{"text": "word1 other."}, {"title": "Other"}, {"metadata": {"number": 4}}, {"domain": "x"}],
)
def test_a_document_that_differs_is_told(
    store: tuple[Path, StoreModel], fields: dict[str, object]
) -> None:
    path, model = store
    with pytest.raises(BrokenPromiseError, match="differ"):
        compare_any(path, [changed(model, **fields)], random.Random(0))


def test_a_wrong_generation_a_missing_store_and_wrong_scores_are_told(
    store: tuple[Path, StoreModel], tmp_path: Path
) -> None:
    path, model = store
    rng = random.Random(0)
    with pytest.raises(BrokenPromiseError, match="generation 1 is published, not 2, 3"):
        compare_any(path, [replace(model, generation=n) for n in (2, 3)], rng)
    with pytest.raises(StoreNotFoundError):
        compare_any(tmp_path / "none", [model], rng)
    assert compare_any(tmp_path / "none", [StoreModel(), model], rng).generation == 0
    fewer = frozenset(list(model.live.values())[1:])
    with pytest.raises(WrongRankingError, match="BM25"):
        compare_any(path, [replace(model, counted=(fewer,))], rng)
