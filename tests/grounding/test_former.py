"""Values that a passage calls former."""

from __future__ import annotations

import pytest

from expertrag.api.types import Passage
from expertrag.grounding.evidence import Evidence
from expertrag.grounding.former import calls_former, find_former_value
from expertrag.grounding.ground import ground
from expertrag.grounding.wording import wording

VANS = "How many vans does the depot get?"


def passage(text: str) -> Passage:
    return Passage("notes", 0, text, 0, len(text), 1.0)


@pytest.mark.parametrize(
    ("question", "former", "current", "text"),
    [
        (VANS, "9", "6", "Decision: the depot gets 6 vans instead of 9, from May on."),
        (VANS, "9 vans", "6 vans", "The depot gets 6 vans rather than 9."),
        ("How many steps may a plan have?", "16", "24", "A plan may have 24 steps (before: 16)."),
        ("How long may a reply take?", "24 hours", "8 hours", "A reply takes 8 hours (was 24)."),
        (
            "What is the deposit for a key?",
            "10 euros",
            "25 euros",
            "The deposit for a key was raised from €10 to €25 in May.",
        ),
        (
            "When is the fair?",
            "10 March",
            "4 April",
            "The fair was moved from 10 March to 4 April, as the hall is being repaired.",
        ),
        (
            "By how much does paper get more expensive?",
            "7.5%",
            "4.2%",
            "Paper gets more expensive. They wanted 7.5 %, we agreed on 4.2 % from June on.",
        ),
        (
            "What is the flat rate a week?",
            "150 euros",
            "240 euros",
            "These rules replace others (150 euros).\nThe flat rate is 240 euros a week.",
        ),
        ("Wie viele Tage Urlaub gibt es?", "28", "30", "Es gibt 30 Tage Urlaub statt 28."),
    ],
)
def test_a_value_that_another_one_replaced_is_former(
    question: str, former: str, current: str, text: str
) -> None:
    evidence = Evidence([passage(text)], question)
    replaced = find_former_value(wording(former), evidence)
    assert replaced is not None
    assert replaced.sentence in " ".join(text.split())
    assert find_former_value(wording(current), evidence) is None
    assert find_former_value(wording(f"{current}, not {former}"), evidence) is None
    assert calls_former(text)


@pytest.mark.parametrize(
    ("question", "answer", "text"),
    [
        ("When is the depot open?", "9:00", "The depot is open from 9:00 to 17:00."),
        (VANS, "6", "The depot gets 6 vans."),
        ("How many vans did the depot get previously?", "9", "The depot gets 6 vans instead of 9."),
        ("Does the depot get 9 vans?", "9", "The depot gets 6 vans instead of 9."),
        ("What voltage is the drill?", "40 V", "Use the hand pump instead of the 40 V drill."),
        (VANS, "9", "The shop gets 6 bikes instead of 9."),  # about something else
    ],
)
def test_other_values_are_not_former(question: str, answer: str, text: str) -> None:
    assert find_former_value(wording(answer), Evidence([passage(text)], question)) is None


def test_the_flaw_of_a_former_value_is_its_sentence() -> None:
    passages = [passage("The depot has 9 vans."), passage("The depot gets 6 vans instead of 9.")]
    grounding = ground("9", passages, VANS)
    assert grounding.reason == "'9' is a former value: \"The depot gets 6 vans instead of 9.\""
    assert grounding.coverage["misplaced"] == 1.0
    assert ground("6", passages, VANS).coverage["misplaced"] == 0.0


def test_a_long_sentence_is_quoted_from_its_end() -> None:
    text = f"The depot {'in the old town ' * 10}gets 6 vans instead of 9."
    replaced = find_former_value(wording("9"), Evidence([passage(text)], VANS))
    assert replaced is not None
    assert replaced.sentence.startswith("…")
    assert replaced.sentence.endswith("gets 6 vans instead of 9.")
