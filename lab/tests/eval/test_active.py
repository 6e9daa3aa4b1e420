"""The expert term of the cost formula: computed by hand, and from counters of a real engine."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from expertrag.llm.weights import Amount, WeightUse
from expertrag_lab.eval.active import CostedAnswer, MachineCosts, ModelWork, compare_costs, formula

USE = WeightUse(
    body=Amount(10, 20),
    head=Amount(5, 10),
    words=Amount(100, 200),
    vocabulary=100,
    expert=Amount(3, 6),
    experts=4,
    top_k=2,
    adapters={"legal": Amount(1, 4)},
    all_adapters=Amount(2, 8),
)
WORK = ModelWork(
    rows=103, prefill_tokens=100, prefill_steps=1, decode_steps=3, prompts=1, experts=2.0
)


def answer(mode: str, seconds: float, retrieved: bool, name: str = "a") -> CostedAnswer:
    """An answer whose model worked a second for each operation, and half of it for each byte."""
    stages = {"gate": 0.25, "search": 0.5 * retrieved, "generate": seconds}
    whole = seconds + 0.25 + 0.5 * retrieved
    return CostedAnswer(name, "made", mode, retrieved, whole, stages, seconds / 2, seconds)


def test_total_and_active_weights() -> None:
    assert USE.total == Amount(10 + 5 + 100 + 4 * 3 + 2, 20 + 10 + 200 + 4 * 6 + 8)
    assert USE.active(adapter="legal") == Amount(10 + 5 + 1 + 2 * 3 + 1, 20 + 10 + 2 + 2 * 6 + 4)
    assert USE.capacity_gain() == 129 / 22


def test_work_is_what_the_counters_gained() -> None:
    before = {"rows": 5, "steps": 2, "prefill_tokens": 4, "draft_tokens": 0, "routed_experts": 20,
              "routed_tokens": 10}  # fmt: skip
    gained = {"rows": 305, "steps": 6, "prefill_tokens": 300, "draft_tokens": 1,
              "routed_experts": 1220, "routed_tokens": 610}  # fmt: skip
    after = {name: before[name] + gained[name] for name in before}
    found = ModelWork.between(before, after, prompts=2)
    assert found == ModelWork(305, 300, 2, 4, 2, 2.0)
    early = {**after, "rows": after["rows"] + 7}  # a step whose six drafts are not counted yet
    assert ModelWork.between(before, early, prompts=2).prefill_steps == 1
    dense = {name: 0 if name.startswith("routed") else value for name, value in after.items()}
    assert ModelWork.between({**before, "routed_experts": 0, "routed_tokens": 0}, dense, 1) == (
        ModelWork(305, 300, 2, 4, 1, 0.0)
    )


def test_operations_and_bytes_by_hand() -> None:
    # four rows compute logits: the last of the prompt, and three in decode
    assert WORK.operations(USE) == 2 * (103 * (10 + 2 * 3) + 4 * 5)
    assert WORK.operations(USE, "legal") == WORK.operations(USE) + 2 * 103
    prompt, step = 20 + 10 + 2 + 4 * 6, 20 + 10 + 2 + 2 * 6  # a long prompt uses all experts
    assert WORK.bytes(USE) == pytest.approx(prompt + 3 * step)
    drafts = replace(WORK, rows=106)  # two rows a step: three distinct experts
    assert drafts.bytes(USE) == pytest.approx(prompt + 3 * (step + 6))


def test_constants_are_found_in_answers_that_have_them() -> None:
    made = [
        replace(answer("never", 1.0, False), stages={"generate": 2e-9 * ops + 3e-10 * read},
                operations=ops, bytes=read)
        for ops, read in ((1e9, 1e9), (4e9, 1e9), (1e8, 5e9))
    ]  # fmt: skip
    found = MachineCosts.fit(made)
    assert found.per_operation == pytest.approx(2e-9)
    assert found.per_byte == pytest.approx(3e-10)
    assert found.seconds(replace(made[0], stages={"search": 1.0, "generate": 9.0})) == (
        pytest.approx(1 + 2.3)
    )


def test_predictions_by_hand() -> None:
    costs = MachineCosts(per_operation=1.0, per_byte=0.5)
    some = [answer("always", 1.0, True), replace(answer("always", 3.0, True, "b"), right=True)]
    found = compare_costs(some, costs)
    assert json.dumps(found, allow_nan=False)
    assert (found["n"], found["judged"], found["right"]) == (2, 1, 1.0)
    assert found["predicted"] == found["measured"] == pytest.approx(2.75)
    assert found["error"] == pytest.approx(0.0)
    wrong = compare_costs(some, MachineCosts(per_operation=2.0, per_byte=0.5))
    assert wrong["error"] == pytest.approx(1 / 2.75)


def test_the_whole_formula_by_hand() -> None:
    costs = MachineCosts(per_operation=1.0, per_byte=0.5)
    never = {name: answer("never", 1.0, False, name) for name in "abcd"}
    always = {name: answer("always", 3.0, True, name) for name in "abcd"}
    auto = [answer("auto", 3.0, True, "a"), *(answer("auto", 1.0, False, name) for name in "bcd")]
    found: Any = formula(auto, never, always, costs)
    assert (found["gate"], found["p"]) == (0.25, 0.25)
    predicted = 0.25 + 0.25 * (0.5 + 3.0) + 0.75 * 1.0
    assert found["predicted"] == pytest.approx(predicted)
    assert found["error"] == pytest.approx(0.0)
    prefill = {"gate": 0.25, "prefill": 0.5, "generate": 0.5}  # of which the answer goes on
    auto = [replace(one, stages=prefill) if not one.retrieved else one for one in auto]
    continued: Any = formula(auto, never, always, costs)
    assert continued["gate"] == pytest.approx(0.25 + 0.75 * 0.5)
    assert continued["predicted"] == pytest.approx(predicted)
