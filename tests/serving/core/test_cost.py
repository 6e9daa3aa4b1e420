"""The tokens that an answer is charged for, also if its caller leaves before the end."""

from __future__ import annotations

from expertrag.api.events import DeltaEvent, PassagesEvent, UsageEvent
from expertrag.api.turns import Turn, TurnRole
from expertrag.api.types import Passage, Usage
from expertrag.serving.core.cost import CHARACTERS, Cost

PASSAGE = Passage("doc", 0, "p" * 400, 0, 400, 1.0)


def test_an_answer_that_has_not_begun_costs_nothing() -> None:
    assert Cost("q" * 100).tokens == 0


def test_the_estimate_counts_question_history_passages_and_text() -> None:
    cost = Cost("q" * 40, [Turn(TurnRole.USER, "t" * 60)])
    cost.note(PassagesEvent((PASSAGE, PASSAGE), 1))
    assert cost.tokens == (40 + 60 + 800) // CHARACTERS
    cost.note(DeltaEvent("d"))
    assert cost.tokens == (40 + 60 + 800) // CHARACTERS + 1  # rounded up


def test_the_usage_takes_the_place_of_the_estimate() -> None:
    cost = Cost("q" * 4000)
    cost.note(DeltaEvent("text"))
    cost.note(UsageEvent(Usage(prompt_tokens=7, completion_tokens=3)))
    assert cost.tokens == 10
