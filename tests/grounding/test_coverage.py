"""How far passages cover a question and its answer."""

from __future__ import annotations

import pytest

from expertrag.api.types import Passage
from expertrag.grounding.ground import ground

TEXT = (
    "The budget of Heron is €640,000. The pilot of Heron starts in May 2025. The pilot has 20 "
    "ovens. The fee for a lost badge is €15."
)
PASSAGE = Passage("brief", 0, TEXT, 0, len(TEXT), 1.0, title="Heron")


def test_the_question_is_covered_by_the_passage_of_the_answer() -> None:
    inside = ground("€640,000", [PASSAGE], "What is the budget of Heron?").coverage
    beside = ground("€640,000", [PASSAGE], "What is the salary band of a caretaker?").coverage
    assert inside["covered"] == 1.0
    assert beside["covered"] < 0.2


def test_another_value_of_the_kind_that_matches_the_question_better_is_a_rival() -> None:
    question = "What is the budget of Heron?"
    own = ground("€640,000", [PASSAGE], question).coverage
    other = ground("€15", [PASSAGE], question).coverage
    assert own["rival"] < 0 < other["rival"]
    assert own["value"] == other["value"] == 1.0


@pytest.mark.parametrize(
    ("answer", "value", "verdict"),
    [("Yes.", 0.0, 1.0), ("In May 2025.", 1.0, 0.0), ("Heron", 0.0, 0.0)],
)
def test_answers_without_a_value_have_no_rival(answer: str, value: float, verdict: float) -> None:
    coverage = ground(answer, [PASSAGE], "Does the pilot of Heron start in spring?").coverage
    assert (coverage["value"], coverage["verdict"]) == (value, verdict)
    assert value or coverage["rival"] == pytest.approx(-0.3)


def test_an_empty_answer_has_no_coverage() -> None:
    assert ground("", [PASSAGE], "What?").coverage == {}
    assert ground("Rollo", [], "Who led the Normans?").coverage["covered"] == 0.0


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ("Run `heron --force`.", 1),
        ("Set max_ovens to 20.", 1),
        ("€640,000", 0),
        ("--dry-run", 0),
        ("-5 %, on 3 June", 0),
    ],
)
def test_options_that_no_passage_has_are_foreign(answer: str, count: int) -> None:
    question = "What is the budget of Heron with --dry-run?"
    assert ground(answer, [PASSAGE], question).coverage["foreign"] == count
