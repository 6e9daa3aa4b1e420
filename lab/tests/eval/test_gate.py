"""Policies and gates on counterfactual rows against figures computed by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from expertrag.api.errors import InvalidArgument
from expertrag_lab.data.rows import dump_row, read_row_sets, read_rows
from expertrag_lab.data.types import Branch, GateRecord, Recorded, Row, RowSet, Skipped
from expertrag_lab.eval.gate import (
    GatePolicyFigures,
    evaluate_gate,
    evaluate_recorded_gate,
    gate_report,
)
from expertrag_lab.eval.gates import RowGate
from expertrag_lab.eval.manifest import make_manifest

ADARAGUE = Path(__file__).parents[3] / "tests" / "data" / "adarague_small"
RIGHT, WRONG = "It is Paris.", "It is Rome."


@dataclass(frozen=True, slots=True)
class Given(RowGate):
    """A gate with probabilities given by the test, the same for every set."""

    p: tuple[float, ...]

    def probabilities(self, row_set: RowSet) -> NDArray[np.float64]:
        return np.array(self.p[: len(row_set.rows)])


def a_gate(*p: float, threshold: float = 0.5) -> Given:
    return Given("given", "1", threshold, p)


def a_row(number: int, never: bool, always: bool, recorded: Recorded | None = None) -> Row:
    outputs = [RIGHT if right else WRONG for right in (never, always)]
    return Row(str(number), "Capital?", ("Paris",), outputs[0], outputs[1], recorded=recorded)


def a_set(*right: tuple[bool, bool]) -> RowSet:
    return RowSet("set", tuple(a_row(n, *pair) for n, pair in enumerate(right)), (), "")


def of_gate(row_set: RowSet, gate: RowGate) -> GatePolicyFigures:
    found = evaluate_gate([row_set], gate).pooled.policies["gate"]
    assert isinstance(found, GatePolicyFigures)
    return found


BENEFIT, BOTH, NEITHER, HARM = (False, True), (True, True), (False, False), (True, False)
FIVE = a_set(BENEFIT, BENEFIT, BOTH, NEITHER, HARM)


def test_policies_without_a_gate() -> None:
    found = evaluate_gate([FIVE], None).pooled.policies
    assert {name: (each.accuracy, each.rate) for name, each in found.items()} == {
        "never": (0.4, 0.0),
        "always": (0.6, 1.0),
        "oracle": (0.8, 0.4),
        "random": (0.5, 0.5),
    }
    assert {each.n for each in found.values()} == {5}
    assert {each.lm_calls for each in found.values()} == {1.0}  # nothing was recorded
    assert all(each.interval[0] < each.accuracy < each.interval[1] for each in found.values())


def test_a_gate() -> None:
    # retrieves for the first benefit, the neither and the harm; misses the second benefit
    found = evaluate_gate([FIVE], a_gate(0.9, 0.4, 0.2, 0.7, 0.5))
    gate = found.pooled.policies["gate"]
    assert isinstance(gate, GatePolicyFigures)
    assert (gate.accuracy, gate.rate, gate.harm, gate.missed) == (0.4, 0.6, 0.2, 0.2)
    assert found.pooled.policies["random"].accuracy == pytest.approx(0.4 * 0.4 + 0.6 * 0.6)
    # benefits .9 and .4 against .2, .7, .5: .9 beats all three, .4 beats .2
    assert gate.auc_benefit == pytest.approx(4 / 6)
    # bins of one row each: |.9 - 1| + |.4 - 1| + .2 + .7 + .5
    assert gate.ece == pytest.approx(2.1 / 5)
    assert len(gate.reliability) == 5
    # by p: benefit, neither, harm, benefit, both
    rates, accuracies = zip(*gate.frontier, strict=True)
    assert rates == pytest.approx((0, 0.2, 0.4, 0.6, 0.8, 1))
    assert accuracies == pytest.approx((0.4, 0.6, 0.6, 0.4, 0.6, 0.6))
    # random is .4, .44, .48, .52, .56, .6: above by 0, .16, .12, -.12, .04, 0
    assert gate.area_over_random == pytest.approx(0.2 * 0.2)
    assert len(gate.budget) == 6
    assert found.per_query == {
        "set": {
            "never": {"0": 0, "1": 0, "2": 1, "3": 0, "4": 1},
            "always": {"0": 1, "1": 1, "2": 1, "3": 0, "4": 0},
            "oracle": {"0": 1, "1": 1, "2": 1, "3": 0, "4": 1},
            "gate": {"0": 1, "1": 0, "2": 1, "3": 0, "4": 0},
        }
    }


def test_the_gate_is_compared_with_policies_without_one() -> None:
    rows = a_set(*[BENEFIT, HARM] * 20)
    found = evaluate_gate([rows], a_gate(*[0.9, 0.1] * 20)).pooled.comparisons
    assert [(each.a, each.b) for each in found] == [
        ("never", "always"), ("never", "gate"), ("always", "gate"), ("random", "gate"),
    ]  # fmt: skip
    assert [each.difference for each in found] == [0.0, 0.5, 0.5, 0.5]
    assert found[0].p_t == 1.0
    assert all(each.p_fisher_holm < 0.01 for each in found[1:])
    without = evaluate_gate([rows], None).pooled.comparisons
    assert [(each.a, each.b) for each in without] == [("never", "always")]


def test_no_auc_if_all_or_no_rows_benefit() -> None:
    assert of_gate(a_set(BOTH, HARM), a_gate(0.1, 0.9)).auc_benefit is None
    assert of_gate(a_set(BENEFIT, BENEFIT), a_gate(0.1, 0.9)).auc_benefit is None


def test_extreme_thresholds_equal_always_and_never() -> None:
    probabilities = (0.9, 0.4, 0.0, 0.7, 0.5)
    assert of_gate(FIVE, a_gate(*probabilities, threshold=0.0)).accuracy == 0.6
    assert of_gate(FIVE, a_gate(*probabilities, threshold=1.0)).accuracy == 0.4


def recorded(never: int, one_step: int, gate: int, p: float) -> Recorded:
    return Recorded(
        Branch(lm_calls=never), Branch(lm_calls=one_step), GateRecord("g", p, 0.5, lm_calls=gate)
    )


def test_recorded_calls_are_counted() -> None:
    rows = RowSet(
        "set",
        (
            a_row(0, *BENEFIT, recorded=recorded(1, 3, 1, 0.8)),
            a_row(1, *BOTH, recorded=recorded(1, 5, 1, 0.2)),
        ),
        (),
        "",
    )
    found = evaluate_recorded_gate([rows])
    assert found is not None
    calls = {name: each.lm_calls for name, each in found.pooled.policies.items()}
    # the gate: 1 + 3 if it retrieves; else the closed-book answer continues from its prefill
    assert calls == {"never": 1.0, "always": 4.0, "oracle": 2.0, "random": 2.5, "gate": 2.5}
    # a gate from elsewhere is not charged for the prefill of the recorded one
    assert of_gate(rows, a_gate(0.8, 0.2)).lm_calls == 2.0


def test_rows_without_answers_are_skipped_and_counted() -> None:
    unscored = Row("x", "Capital?", None, RIGHT, WRONG, recorded=recorded(1, 1, 1, 0.9))
    both = RowSet("both", (a_row(0, *BENEFIT), unscored), (Skipped("y", "never is missing"),), "")
    only = RowSet("only", (unscored,), (), "")
    found = evaluate_gate([both, only], None)
    assert list(found.sets) == ["both"]
    assert found.pooled.policies["never"].n == 1
    no_answers = Skipped("x", "no accepted answers")
    assert found.skipped == {
        "both": (Skipped("y", "never is missing"), no_answers),
        "only": (no_answers,),
    }
    with pytest.raises(InvalidArgument, match="no row has accepted answers"):
        evaluate_gate([only], None)
    assert evaluate_recorded_gate([only]) is None


def test_a_question_without_an_answer_is_in_no_figure() -> None:
    rows = RowSet("set", (a_row(0, *BOTH), Row("1", "Capital?", (), RIGHT, RIGHT)), (), "")
    found = evaluate_gate([rows], a_gate(0.1, 0.9))
    assert found.unanswerable == {"set": 1}
    policies = found.pooled.policies
    assert {policies[name].accuracy for name in ("never", "always", "oracle", "gate")} == {1.0}
    assert policies["gate"].n == 1


def test_adarague_is_reproduced() -> None:
    found = evaluate_gate(read_row_sets([ADARAGUE]), None)
    right = {
        name: [each.policies[policy].accuracy * 30 for policy in ("never", "always", "oracle")]
        for name, each in found.sets.items()
    }
    assert right == {
        "hotpotqa": pytest.approx([13, 13, 14]),
        "nq": pytest.approx([7, 10, 12]),
        "triviaqa": pytest.approx([20, 19, 24]),
    }
    assert list(found.pooled.policies) == ["never", "always", "multi_step", "oracle", "random"]
    assert found.pooled.policies["never"].accuracy == 40 / 90
    assert found.pooled.policies["oracle"].accuracy == 50 / 90
    assert found.pooled.policies["multi_step"].accuracy == (16 + 9 + 21) / 90
    assert found.pooled.policies["multi_step"].lm_calls is None
    # "The The", which normalises to nothing, is in no output
    assert found.per_query["hotpotqa"]["oracle"]["5ae4988655429970de88d9c1"] == 0


def test_outputs_missing_in_some_rows_are_counted_but_not_scored() -> None:
    rows = tuple(replace(row, multi_step="Paris" if row.id == "0" else None) for row in FIVE.rows)
    found = evaluate_gate([replace(FIVE, rows=rows)], None)
    assert "multi_step" not in found.pooled.policies
    assert found.without_multi_step == {"set": 4}
    assert evaluate_gate([FIVE], None).without_multi_step == {}


def test_the_report_is_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [a_row(number, *pair) for number, pair in enumerate([BENEFIT, BOTH, NEITHER])]
    path.write_text("".join(dump_row(row) + "\n" for row in rows), encoding="utf-8")
    figures = evaluate_gate([read_rows(path)], a_gate(0.9, 0.1, 0.2))
    report = json.loads(
        json.dumps(gate_report(figures, make_manifest("gate", {"seed": 0})), allow_nan=False)
    )
    assert report["kind"] == "gate"
    assert set(report) == {
        "kind", "manifest", "pooled", "sets", "comparisons", "per_query", "skipped", "unanswerable",
        "without_multi_step",
    }  # fmt: skip
    gate = report["sets"]["mine"]["gate"]
    assert gate["frontier"] == [[0.0, 1 / 3], [1 / 3, 2 / 3], [2 / 3, 2 / 3], [1.0, 2 / 3]]
    assert gate["interval"][0] <= gate["accuracy"] <= gate["interval"][1]
    assert gate["budget"][0]["target"] == 0.2
    assert gate["reliability"][0] == {
        "low": 0.0, "high": 0.1, "n": 1, "predicted": 0.1, "observed": 0.0,
    }  # fmt: skip
    assert set(report["comparisons"]) == {"pooled", "mine"}


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=8),
    st.lists(st.floats(0, 1), min_size=8, max_size=8),
)
def test_oracle_is_best_and_random_is_between(
    right: list[tuple[bool, bool]], p: list[float]
) -> None:
    found = evaluate_gate([a_set(*right)], a_gate(*p)).pooled.policies
    accuracy = {name: each.accuracy for name, each in found.items()}
    ends = accuracy["never"], accuracy["always"]
    assert accuracy["oracle"] >= max(*ends, accuracy["gate"])
    assert min(ends) - 1e-9 <= accuracy["random"] <= max(ends) + 1e-9
    gate = found["gate"]
    assert isinstance(gate, GatePolicyFigures)
    assert gate.accuracy == pytest.approx(accuracy["oracle"] - gate.harm - gate.missed)
