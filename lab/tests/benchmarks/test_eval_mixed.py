"""Figures of eval-mixed against values computed by hand."""

from __future__ import annotations

import pytest
from eval_mixed import policies, scorable, strict
from reader_figures import area
from served_answers import ServedAnswer, SourcedQuestion

from expertrag.api.types import GateMode
from expertrag_lab.data.datasets import Query

NEVER, ALWAYS, AUTO, STRICT = GateMode.NEVER, GateMode.ALWAYS, GateMode.AUTO, GateMode.STRICT


def said(text: str, *, support: float = 1.0, seconds: float = 1.0) -> ServedAnswer:
    return ServedAnswer(
        text,
        abstained=text == "",
        p_sufficient=None,
        support=support,
        retrieved=True,
        holding=(True,),
        judged=(True,),
        cited=(),
        seconds=seconds,
        prompt_tokens=10,
    )


def asked(identifier: str, *answers: str) -> SourcedQuestion:
    return SourcedQuestion("office", Query(identifier, f"{identifier}?", answers))


DOCUMENTS = [asked("a", "27 days"), asked("b", "yes"), asked("c", "Berlin")]
GENERAL = [asked("d", "Paris")]
NOTHING = [asked("e"), asked("f")]


def test_only_questions_with_accepted_answers_are_scored() -> None:
    without = SourcedQuestion("fiqa_small", Query("q", "Why?"))
    assert scorable({"answerable": [without, *DOCUMENTS]}, 2) == {"answerable": DOCUMENTS[:2]}
    assert scorable({"unanswerable": NOTHING}, None) == {"unanswerable": NOTHING}


def test_accuracy_of_strict_is_over_given_answers() -> None:
    answers = {
        ("answerable", STRICT): [said("27 days"), said("Yes."), said("")],
        ("answerable", ALWAYS): [said("27 days"), said("Yes."), said("Rome", support=0.4)],
        ("unanswerable", STRICT): [said(""), said("42")],
        ("unanswerable", ALWAYS): [said("", support=0.0), said("42", support=0.1)],
    }
    figures = {item.name: item.after for item in strict(answers, DOCUMENTS, NOTHING)}
    means = {name: round(item.mean, 3) for name, item in figures.items() if item}
    assert means == {
        "strict: right, of those that it gives": 0.667,
        "strict: the same of answerable questions alone": 1.0,
        "strict: abstains, unanswerable": 0.5,
        "strict: abstains, answerable": 0.333,
        "yes or no: right, always and strict": 1.0,
        "support: AUROC of right against wrong answers": 1.0,
    }


def test_auto_is_compared_with_always() -> None:
    answers = {
        ("answerable", NEVER): [said("3"), said("no"), said("Rome")],
        ("answerable", ALWAYS): [said("27 days"), said("yes"), said("Rome")],
        ("answerable", AUTO): [said("27 days"), said("no"), said("Rome")],
        ("general", NEVER): [said("Paris")],
        ("general", ALWAYS): [said("Not in the passages", seconds=3.0)],
        ("general", AUTO): [said("Paris", seconds=1.5)],
    }
    figures = {item.name: item for item in policies(answers, DOCUMENTS, GENERAL)}
    loss = figures["answerable: right by auto, less those by always"]
    assert loss.after is not None
    assert loss.after.mean == pytest.approx(-1 / 3)
    assert loss.reached is False
    assert figures["general: right by auto, less those by always"].reached is True


def test_auc_of_inseparable_scores() -> None:
    found = area([0.5, 0.5, 0.5, 0.5], [True, True, False, False])
    assert found is not None
    assert found.mean == 0.5
