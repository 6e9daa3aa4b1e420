"""Consistency over wordings against figures computed by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_lab.data.types import Skipped
from expertrag_lab.eval.consistency import MEASURES, STEPS, consistency_report, measure
from expertrag_lab.eval.manifest import make_manifest
from expertrag_lab.eval.replies import ParaphraseReply, Replies


def replies(
    identifier: str,
    *said: tuple[object, ...],
    answers: tuple[str, ...] | None = ("Warsaw",),
) -> Replies:
    """Make a question; ``said``: decision, p(benefit), answer, expert and passages of a wording."""
    names = ("original", "lower_case", "polite", "labelled")
    return Replies(
        identifier,
        "Capital of Poland?",
        answers,
        tuple(
            ParaphraseReply(name, f"wording {name}", *one)  # type: ignore[arg-type]
            for name, one in zip(names, said, strict=False)
        ),
    )


# pairs: (1, 2) differ in the decision and agree in the answer; (1, 3) and (2, 3) the other way
# round for the first, both for the second
MIXED = replies(
    "mixed", (True, 0.9, "Warsaw"), (False, 0.4, "the Warsaw!"), (True, 0.6, "Old Warsaw")
)
CORRECT = "consistent_and_correct"
STABLE = replies("stable", (True, 0.8, "Warsaw"), (True, 0.8, "Warsaw."), (True, 0.8, "warsaw"))
GATE_ONLY = replies("gate only", (True, 0.8, None), (False, 0.2, None))


def test_a_question_whose_wordings_disagree() -> None:
    found = measure(MIXED)
    assert found == {
        "decision_consistency": pytest.approx(1 / 3),  # 1 and 3
        "p_benefit_gap": pytest.approx((0.5 + 0.3 + 0.2) / 3),
        "answer_consistency": pytest.approx(1 / 3),  # 1 and 2
        "answer_f1": pytest.approx(
            (1 + 2 / 3 + 2 / 3) / 3
        ),  # one of the words is shared: 2·1/(1+2)
        "text_consistency": 0.0,
        "passage_consistency": 1.0,  # none
        "answer_same_passages": 0.0,  # 1 and 3: same decision
        "changed_by_decision": pytest.approx(1 / 3),  # 2 and 3
        "changed_by_expert": 0.0,
        "changed_by_passages": 0.0,
        "changed_by_words": pytest.approx(1 / 3),  # 1 and 3
        "accuracy": 1.0,
        "accuracy_consistency": 1.0,
        "consistent_and_correct": 1.0,
    }


def test_a_question_whose_wordings_agree() -> None:
    none = {"p_benefit_gap", "text_consistency", *(name for name in MEASURES if "by_" in name)}
    assert measure(STABLE) == {name: float(name not in none) for name in MEASURES}


def test_a_changed_answer_is_counted_by_the_first_step_that_differs() -> None:
    found = measure(
        replies(
            "1",
            (True, 0.9, "Warsaw [1]", "general", ("a#0", "b#0")),
            (True, 0.9, "Warsaw [2]", "general", ("b#0", "a#0")),  # markers are no answer
            (True, 0.9, "Kraków", "general", ("a#0", "b#0")),
            (True, 0.9, "Gdańsk", "finance", ("a#0", "b#0")),
        )
    )
    assert found["answer_consistency"] == pytest.approx(1 / 6)  # 1 and 2
    assert found["passage_consistency"] == pytest.approx(3 / 6)
    assert found["text_consistency"] == 0.0
    assert found["answer_same_passages"] == 0.0  # only 1 and 3 differ in nothing but words
    shares = {name: found[f"changed_by_{name}"] for name in STEPS}
    assert shares == {
        "decision": 0.0,
        "expert": pytest.approx(3 / 6),  # the last and each other
        "passages": pytest.approx(1 / 6),  # 2 and 3
        "words": pytest.approx(1 / 6),  # 1 and 3
    }


def test_right_and_wrong_wordings() -> None:
    some = measure(replies("1", (True, 0.5, "Warsaw"), (True, 0.5, "Kraków")))
    assert (some["accuracy"], some["accuracy_consistency"]) == (0.5, 0.0)
    assert some["consistent_and_correct"] == 0.0
    none = measure(replies("1", (True, 0.5, "Gdańsk"), (True, 0.5, "Kraków")))
    assert (none["accuracy"], none["accuracy_consistency"]) == (0.0, 1.0)
    assert none["consistent_and_correct"] == 0.0


@pytest.mark.parametrize("answers", [None, ()])
def test_without_accepted_answers_there_is_no_accuracy(answers: tuple[str, ...] | None) -> None:
    found = measure(replies("1", (True, 0.5, "a b"), (True, 0.5, ""), answers=answers))
    assert set(found) == set(MEASURES) - {"accuracy", "accuracy_consistency", CORRECT}
    assert (found["answer_consistency"], found["answer_f1"]) == (0.0, 0.0)


def test_measures_of_decisions_without_answers() -> None:
    assert measure(GATE_ONLY) == {"decision_consistency": 0.0, "p_benefit_gap": pytest.approx(0.6)}


def report(**sets: tuple[Replies, ...]) -> Any:
    skipped = {name: (Skipped("x", "the endpoint is gone"),) for name in sets}
    manifest = make_manifest("consistency", {"seed": 0})
    return json.loads(json.dumps(consistency_report(sets, manifest, skipped), allow_nan=False))


def test_the_report_has_figures_by_set_and_pooled() -> None:
    found = report(a=(MIXED, STABLE), b=(GATE_ONLY,))
    assert found["kind"] == "consistency"
    decisions = found["pooled"]["decision_consistency"]
    assert decisions["mean"] == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert decisions["low"] <= decisions["mean"] <= decisions["high"]
    assert decisions["n"] == 3
    assert found["pooled"]["answer_consistency"]["n"] == 2
    assert found["sets"]["b"]["answer_consistency"] is None
    assert found["sizes"] == {
        "a": {"questions": 2, "wordings": 6}, "b": {"questions": 1, "wordings": 2},
    }  # fmt: skip
    assert found["per_query"]["a"]["accuracy"] == {"mixed": 1.0, "stable": 1.0}
    assert found["per_query"]["b"]["accuracy"] == {}
    assert found["skipped"]["a"] == [{"id": "x", "reason": "the endpoint is gone", "retry": False}]


def test_rewrites_are_compared_with_the_original_question() -> None:
    found = report(a=(MIXED, STABLE), b=(GATE_ONLY,))["rewrites"]
    assert found["sets"]["a"] == {
        "lower_case": {
            "n": 2,
            "decision_changed": 0.5,
            "answer_changed": 0.0,
            "p_benefit_change": pytest.approx((-0.5 + 0.0) / 2),
        },
        "polite": {
            "n": 2,
            "decision_changed": 0.0,
            "answer_changed": 0.5,
            "p_benefit_change": pytest.approx((-0.3 + 0.0) / 2),
        },
    }
    assert found["sets"]["b"]["lower_case"]["answer_changed"] is None
    assert found["pooled"]["lower_case"]["n"] == 3
    assert found["pooled"]["lower_case"]["decision_changed"] == pytest.approx(2 / 3)


def test_the_least_consistent_questions_are_shown_with_their_wordings() -> None:
    found = report(a=(STABLE, MIXED), b=(GATE_ONLY,))["least_consistent"]
    assert [each["query_id"] for each in found["a"]] == ["mixed"]  # a stable one is not an example
    assert found["a"][0]["answers"] == ["Warsaw"]
    assert found["a"][0]["wordings"][1] == {
        "rewrite": "lower_case",
        "text": "wording lower_case",
        "retrieved": False,
        "p_benefit": 0.4,
        "answer": "the Warsaw!",
        "expert": "",
        "passages": [],
        "correct": True,
    }
    assert found["b"][0]["answer_consistency"] is None
    assert found["b"][0]["wordings"][0]["correct"] is None


def test_a_set_without_replies_has_no_figures() -> None:
    found = report(a=())
    assert found["sets"]["a"] == found["pooled"] == dict.fromkeys(MEASURES)
    assert found["rewrites"]["pooled"] == {}


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0, 1), st.text("aw s", max_size=5)),
        min_size=2,
        max_size=4,
    )
)
def test_measures_are_shares(said: list[tuple[bool, float, str]]) -> None:
    found = measure(replies("1", *said))
    assert set(found) | {"answer_same_passages"} == set(MEASURES)
    changed = sum(found[f"changed_by_{name}"] for name in STEPS)
    assert found["answer_consistency"] + changed == pytest.approx(1.0)
    assert all(0.0 <= value <= 1.0 for value in found.values())
    assert found["answer_consistency"] <= found["answer_f1"] + 1e-9
    assert found["consistent_and_correct"] <= found["accuracy_consistency"]
