"""Training one expert of a tiny random encoder: it learns, resumes after a kill, stops early."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from expertrag_retriever.errors import TrainingError
from expertrag_retriever.training.experts import train_expert
from expertrag_retriever.training.recipe import Recipe
from expertrag_retriever.training.types import Pair, Source

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

RECIPE = Recipe(
    epochs=3, batch=16, learning_rate=5e-3, rank=4, max_tokens=32, evaluations=3, most_pairs=160
)
WORDS = ("ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "yew")


@pytest.fixture(scope="module")
def source() -> Source:
    """Queries and documents about the same two trees, under different names for them."""
    rng = random.Random(0)
    corpus, pairs = {}, []
    for number in range(220):
        first, second = rng.sample(WORDS, 2)
        filler = " ".join(rng.choices(["the", "a", "of", "in", "on", "by", "at", "to", "and"], k=6))
        corpus[f"d{number}"] = f"{first}{first} {filler} {second}{second} {number}"
        pairs.append(Pair(f"{first} with {second} number {number}", f"d{number}"))
    return Source("trees", corpus, tuple(pairs))


def _silent(_stage: str, _done: int, _total: int | None) -> None:
    """Show nothing."""


class Killed(Exception):
    """Stands for a kill at a moment that the test chooses."""


def test_an_expert_learns(
    encoder: Callable[[str], SentenceTransformer], source: Source, tmp_path: Path
) -> None:
    weights, report, data = train_expert(
        "trees", [source], lambda: encoder("bert"), RECIPE, tmp_path, _silent
    )
    assert report.helps
    assert report.after["trees"] > report.before["trees"] + 0.02
    assert report.pairs == data.pairs == 160
    assert report.dev_queries == 33
    assert 0 < report.drift < 1
    assert report.points[-1].loss is not None and report.points[1].loss is not None
    assert report.points[-1].loss < report.points[1].loss
    assert all(value.dtype == torch.float32 for value in weights.values())


def test_a_killed_training_goes_on_to_the_same_expert(
    encoder: Callable[[str], SentenceTransformer], source: Source, tmp_path: Path
) -> None:
    whole, expected, _ = train_expert(
        "trees", [source], lambda: encoder("bert"), RECIPE, tmp_path / "whole", _silent
    )

    def kill(stage: str, done: int, _total: int | None) -> None:
        if stage == "trees" and done == 15:  # between the first and the second evaluation
            raise Killed

    with pytest.raises(Killed):
        train_expert("trees", [source], lambda: encoder("bert"), RECIPE, tmp_path / "cut", kill)
    steps = []
    again, report, _ = train_expert(
        "trees",
        [source],
        lambda: encoder("bert"),
        RECIPE,
        tmp_path / "cut",
        lambda stage, done, _total: steps.append(done) if stage == "trees" else None,
    )
    assert steps[0] == 10  # the first evaluation's
    assert report.points == expected.points
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_a_finished_expert_is_not_trained_again(
    encoder: Callable[[str], SentenceTransformer], source: Source, tmp_path: Path
) -> None:
    quick = replace(RECIPE, epochs=1, evaluations=1)
    first = train_expert("trees", [source], lambda: encoder("bert"), quick, tmp_path, _silent)

    def never() -> SentenceTransformer:
        raise AssertionError("the base was loaded again")

    second = train_expert("trees", [source], never, quick, tmp_path, _silent)
    assert second[1] == first[1]
    other = replace(quick, seed=1)
    with pytest.raises(AssertionError):
        train_expert("trees", [source], never, other, tmp_path, _silent)


def test_training_ends_when_nothing_is_gained(
    encoder: Callable[[str], SentenceTransformer], source: Source, tmp_path: Path
) -> None:
    idle = replace(RECIPE, learning_rate=1e-12, epochs=4, evaluations=8, patience=2)
    weights, report, _ = train_expert(
        "trees", [source], lambda: encoder("bert"), idle, tmp_path, _silent
    )
    assert not report.helps
    assert len(report.points) == 3  # the base, and two evaluations without gain
    assert not any(value.any() for name, value in weights.items() if name.endswith("second"))


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([("what is oak", "d0")] * 40, "repeated"),
        ([(f"question {n}", "nowhere") for n in range(40)], "without their document"),
        ([("", f"d{n}") for n in range(40)], "empty or too short"),
        ([("what is an oak", "d0"), ("of an elm", "d1"), ("and a yew", "d2")], "has 3 usable"),
    ],
)
def test_a_domain_with_too_little_says_what_is_wrong(
    encoder: Callable[[str], SentenceTransformer],
    source: Source,
    tmp_path: Path,
    pairs: list[tuple[str, str]],
    reason: str,
) -> None:
    poor = replace(source, pairs=tuple(Pair(*pair) for pair in pairs))
    with pytest.raises(TrainingError, match=reason):
        train_expert("trees", [poor], lambda: encoder("bert"), RECIPE, tmp_path, _silent)


def test_a_query_that_is_its_own_document_teaches_nothing(source: Source) -> None:
    from expertrag_retriever.training.data import prepare

    own = tuple(Pair(text.upper(), name) for name, text in list(source.corpus.items())[:5])
    data = prepare("trees", [replace(source, pairs=source.pairs + own)])
    assert data.dropped == {"whose query is its own document": 5}


def test_checkpoints_hold_no_pickle(
    encoder: Callable[[str], SentenceTransformer], source: Source, tmp_path: Path
) -> None:
    quick = replace(RECIPE, epochs=1, evaluations=1)
    train_expert("trees", [source], lambda: encoder("bert"), quick, tmp_path, _silent)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    for path in files:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
