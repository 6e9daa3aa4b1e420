"""The streams of bench_patterns.py by hand, and its figures on a tiny mixture."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
from bench_patterns import FULL, HALF, OTHER, PATTERNS, STAYS, PatternBench
from fixture_network import Shape, new_model
from pattern_questions import PatternQuestion, answered, in_order, questions_of, read
from profile_samples import profile_of
from residency_trained import planned, save
from routing_tables import patterns as table
from surgery_texts import Traffic

from expertrag.llm.engine.engine import Engine
from expertrag.llm.expert_pattern import ExpertPattern
from expertrag_index.types import silent

_SHAPE = Shape(layers=3, hidden=32, experts=8, top_k=2, inner=32, shared_inner=16, words=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("mixture")
    model: Any = new_model(_SHAPE, 0, seed=4).bfloat16().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0)  # so that experts differ more
    save(model, [], made)
    return made


def _questions() -> list[PatternQuestion]:
    drawn = torch.randint(3, 300, (8, 20), generator=torch.Generator().manual_seed(0)).tolist()
    rows = [tuple(row) for row in drawn]
    return questions_of(
        {"a": Traffic(tuple(rows[:4]), (3,) * 4), "b": Traffic(tuple(rows[4:]), (5,) * 4)}
    )


def test_questions_are_split_where_the_right_answer_begins() -> None:
    long = tuple(range(200))
    found = questions_of({"a": Traffic((long, long), (3, 0)), "b": Traffic((long,), (0,))})
    assert [(item.domain, len(item.prompt), len(item.right)) for item in found] == [
        ("a", 197, 3),
        ("b", 128, 72),
    ]
    assert all(item.prompt + item.right == long for item in found)


@pytest.mark.parametrize("stay", [1, 2, 4])
def test_a_stream_stays_in_a_domain(stay: int) -> None:
    questions = _questions()
    stream = in_order(questions, stay)
    assert sorted(stream, key=questions.index) == questions
    runs = [len(list(some)) for _, some in groupby(stream, key=lambda item: item.domain)]
    assert all(count % stay == 0 for count in runs)


def test_patterns_change_answers_and_losses(folder: Path) -> None:
    engine = Engine(planned(folder, limited=False).decoder)
    every = ExpertPattern("every", torch.ones(3, 8, dtype=torch.bool))
    few = ExpertPattern("few", every.open & (torch.arange(8) < 3))
    try:
        for item in _questions():
            whole, same, less = (read(engine, item, pattern) for pattern in (None, every, few))
            assert whole.loss == same.loss != less.loss
            assert torch.equal(whole.likeliest, same.likeliest)
            assert len(less.likeliest) == len(item.right)
            ends = frozenset[int]()
            assert answered(engine, item, None, ends) == answered(engine, item, every, ends)
        first = answered(engine, item, None, ends)
        assert answered(engine, item, None, frozenset({first[0]})) == first[:1]
    finally:
        engine.stop()


def test_the_figures_of_a_tiny_mixture(folder: Path) -> None:
    scores = {"a": torch.arange(24.0).view(3, 8), "b": -torch.arange(24.0).view(3, 8) + 24}
    body = PatternBench(folder, profile_of(scores), _questions(), frozenset()).measured(1, silent)
    assert (body["questions"], body["experts"], body["top_k"]) == (8, 24, 2)
    for order in STAYS:
        by_way = body["orders"][order]
        assert "hit_rate" not in by_way[FULL] and all(
            way["tokens_per_s"] > 0 for way in by_way.values()
        )
        assert 0 < by_way[HALF]["hit_rate"] < by_way[PATTERNS]["hit_rate"] <= 1
    same, loss = body["same"], body["loss"]
    assert same[HALF]["mean"] == same[FULL]["mean"] == 1 > same[PATTERNS]["mean"]
    assert loss[FULL] > 0 and set(loss) == {FULL, PATTERNS, OTHER}
    assert all(0 <= body["next"][way]["mean"] < 1 for way in (PATTERNS, OTHER))
    assert len(list(table(body))) == 2 + 4
