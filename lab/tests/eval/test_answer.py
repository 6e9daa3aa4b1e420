"""The answer report against values computed by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from expertrag_lab.data.types import Branch, GateRecord, Recorded, Row, RowSet, Skipped
from expertrag_lab.eval.answer import answer_report
from expertrag_lab.eval.manifest import make_manifest

POLICIES = ("never", "always", "auto", "oracle")


def row(
    name: str,
    answers: tuple[str, ...] | None,
    never: str,
    one_step: str,
    *,
    p_benefit: float = 0.9,
    support: float = 1.0,
    cited: tuple[str, ...] = (),
    relevant: tuple[str, ...] = ("d1",),
) -> Row:
    seconds = {"search": 1.0, "generate": 2.0}
    recorded = Recorded(
        Branch(1, 0, 10, 5, {"generate": 1.0}, 0.5, relevant_support=0.25),
        Branch(1, 1, 100, 5, seconds, support, ("d1", "d2"), cited, relevant_support=0.75),
        GateRecord("g", p_benefit, 0.5, lm_calls=1, stage_seconds={"gate": 0.5}),
    )
    return Row(name, f"{name}?", answers, never, one_step, relevant=relevant, recorded=recorded)


@pytest.fixture
def report() -> Any:
    general = RowSet(
        "general",
        (
            row("both", ("red",), "red", "it is red", p_benefit=0.1, cited=("d1",)),
            row("open", ("blue",), "no idea", "blue", cited=("d1", "d2")),
            row("closed", ("two",), "two", "three", support=0.9),
            row("nowhere", (), "invented", "invented", support=0.2, relevant=()),
        ),
        (Skipped("lost", "the model failed", retry=True),),
        "hash",
    )
    manual = RowSet("manual", (row("how", None, "a", "b"),), (), "hash")
    made = answer_report([general, manual], POLICIES, make_manifest("answer", {}))
    return json.loads(json.dumps(made, allow_nan=False))


def test_accuracy_and_rate(report: Any) -> None:
    general = report["sets"]["general"]
    assert {name: general[name]["accuracy"] for name in POLICIES} == pytest.approx(
        {"never": 2 / 3, "always": 2 / 3, "auto": 2 / 3, "oracle": 1.0}
    )
    assert {name: general[name]["rate"] for name in POLICIES} == pytest.approx(
        {"never": 0.0, "always": 1.0, "auto": 0.75, "oracle": 0.25}
    )
    assert general["always"]["exact_match"] == pytest.approx(1 / 3)
    assert general["always"]["f1"] == pytest.approx((2 * 1 / (3 + 1) + 1 + 0) / 3)
    assert (general["never"]["n"], general["never"]["answerable"]) == (4, 3)
    low, high = general["never"]["interval"]
    assert 0.0 <= low <= 2 / 3 <= high <= 1.0


def test_costs(report: Any) -> None:
    auto = report["sets"]["general"]["auto"]
    assert auto["lm_calls"] == pytest.approx((1 + 2 + 2 + 2) / 4)
    assert auto["seconds"] == pytest.approx((1.5 + 3 * 3.5) / 4)
    assert auto["stage_seconds"] == pytest.approx({"generate": 7 / 4, "gate": 0.5, "search": 0.75})


def test_citations_against_judgements(report: Any) -> None:
    always = report["sets"]["general"]["always"]
    assert always["citation_precision"] == pytest.approx((1 + 1 / 2) / 2)
    assert always["citation_recall"] == pytest.approx((1 + 1 + 0) / 3)
    never = report["sets"]["general"]["never"]
    assert never["citation_precision"] is never["citation_recall"] is None


def test_abstention(report: Any) -> None:
    always = report["sets"]["general"]["always"]
    assert always["abstention_auroc"] == 1.0
    # by support: both and open (1.0, right), closed (.9, wrong), nowhere (.2, wrong)
    assert always["aurc"] == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert report["sets"]["manual"]["always"]["abstention_auroc"] is None


def test_a_set_without_short_answers_has_relevant_support(report: Any) -> None:
    manual = report["sets"]["manual"]
    assert manual["always"]["accuracy"] is manual["always"]["interval"] is None
    assert (manual["never"]["relevant_support"], manual["oracle"]["relevant_support"]) == (
        0.25,
        0.75,
    )
    assert report["pooled"]["never"]["accuracy"] == report["sets"]["general"]["never"]["accuracy"]


def test_other_parts_of_the_report(report: Any) -> None:
    assert report["skipped"] == {
        "general": [{"id": "lost", "reason": "the model failed", "retry": True}],
        "manual": [],
    }
    assert report["sizes"]["general"] == {
        "questions": 4,
        "answerable": 3,
        "unanswerable": 1,
        "without_short_answers": 0,
    }
    assert report["per_query"]["general"]["auto"]["accuracy"] == {
        "both": 1.0,
        "open": 1.0,
        "closed": 0.0,
    }
    assert report["gate"]["pooled"]["gate"]["accuracy"] == pytest.approx(2 / 3)
    assert list(report["gate"]["sets"]) == ["general"]
    pairs = {(item["a"], item["b"]) for item in report["comparisons"]["general"]}
    assert len(pairs) == 6
    assert report["worst"]["general"] == []  # the oracle leaves none wrong


def test_only_questions_without_short_answers() -> None:
    manual = RowSet("manual", (row("how", None, "a", "b"),), (), "hash")
    report = answer_report([manual], ("never",), make_manifest("answer", {}))
    assert report["gate"] is None
    assert json.dumps(report, allow_nan=False)
