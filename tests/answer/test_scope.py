"""The scope of a question, by the weights that ship in the package."""

from __future__ import annotations

import pytest

from expertrag.answer.scope import recognise_scope

EXAMPLES = [
    ("Which contracts end in 2026?", "list"),
    ("Welche Verträge laufen 2026 aus?", "list"),
    ("How many incidents were there in May?", "count"),
    ("Wie viele Tickets sind noch offen?", "count"),
    ("What did we spend on travel in Q2?", "aggregate"),
    ("Which employee spent most on travel?", "aggregate"),
    ("Does any contract end in 2026?", "exists"),
    ("Sind alle Server aktualisiert?", "exists"),
    ("What is the difference between contract 12 and contract 14?", "compare"),
    ("Which of the two policies is in force?", "latest"),
    ("Who is the manager of the author of the incident plan?", "two_hops"),
    ("Summarise this report.", "document"),
    ("Fasse den Bericht zusammen", "document"),
    ("Is remote work allowed?", "lookup"),
    ("How many moons does Jupiter have?", "lookup"),
    ("What is the total fee of contract 12?", "lookup"),
    ("Wie hoch ist die Miete für Wohnung 12?", "lookup"),
    ("Thanks!", "lookup"),
    ("", "lookup"),
]


@pytest.mark.parametrize(("question", "scope"), EXAMPLES)
def test_the_scope_of_a_question_is_recognised(question: str, scope: str) -> None:
    assert recognise_scope(question).accepted == scope
