"""A small model check, and that a difference from the model is told."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import oracle
import pytest
from changes import SETTINGS, Change, apply, plan
from comparison import BrokenPromiseError, WrongRankingError, compare_any, compare_copies
from corpus import make_document
from model_check import OPERATIONS, checked
from store_model import StoreModel, Version

from expertrag_index.errors import StoreNotFoundError
from expertrag_index.types import Document


def test_stores_hold_what_their_models_do() -> None:
    done: Counter[str] = Counter()
    for seed in range(3):
        operations, finding = checked(seed, 25)
        assert finding is None
        done += operations
    assert sum(done[name] for name in OPERATIONS) == 75
    assert done.keys() > {"add", "build", "delete", "migrate", "kill", "read", "repair"}
    assert done.keys() > {"compact", "copy", "restore"}


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
    return replace(model, live=live)


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


def test_what_a_restricted_reader_must_not_see_is_told(tmp_path: Path) -> None:
    red = Document("red", "word1 word2.", labels=("red",))
    model, _ = plan(change := Change("build", (red, Document("all", "word1."))), StoreModel())
    apply(change, tmp_path / "store", "hashing", SETTINGS[0])
    compare_any(tmp_path / "store", [model], random.Random(0))
    secret = {"red": Version(replace(red, labels=("blue",)), "general")}
    wrong = replace(model, live={**model.live, **secret})
    with pytest.raises(BrokenPromiseError, match="for a reader with"):
        for seed in range(9):
            compare_any(tmp_path / "store", [wrong], random.Random(seed))


def test_a_backup_that_differs_is_told(store: tuple[Path, StoreModel]) -> None:
    path, model = store
    copied, _ = plan(Change("copy"), model)
    with pytest.raises(BrokenPromiseError, match="backup is there before"):
        (path.parent / "backup").mkdir()
        compare_copies(path, [model], random.Random(0))
    (path.parent / "backup").rmdir()
    apply(Change("copy"), path, "hashing", SETTINGS[0])
    compare_copies(path, [copied], random.Random(0))
    for copies in ("replicas", "backups"):
        other = (changed(model, text="word1 other."),)
        wrong = replace(copied, **{copies: other})  # type: ignore[arg-type]
        with pytest.raises(BrokenPromiseError, match="differ"):
            compare_copies(path, [wrong], random.Random(0))


def test_a_wrong_generation_a_missing_store_and_wrong_scores_are_told(
    store: tuple[Path, StoreModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, model = store
    rng = random.Random(0)
    with pytest.raises(BrokenPromiseError, match="generation 1 is published, not 2, 3"):
        compare_any(path, [replace(model, generation=n) for n in (2, 3)], rng)
    with pytest.raises(StoreNotFoundError):
        compare_any(tmp_path / "none", [model], rng)
    assert compare_any(tmp_path / "none", [StoreModel(), model], rng).generation == 0
    monkeypatch.setattr(oracle, "_B", 0.5)
    with pytest.raises(WrongRankingError, match="BM25"):
        compare_any(path, [model], rng)
