"""SQuAD's measures against values computed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_lab.metrics.squad import contains, exact_match, normalise, right, substring, token_f1

BY_HAND = Path(__file__).parents[2] / "benchmarks/mixed/answers_judged_by_hand.jsonl"


def test_normalise_matches_the_official_script() -> None:
    assert normalise("  The Cat's  hat, a-okay; an ape! ") == "cats hat aokay ape"
    assert normalise("The The") == ""
    assert normalise("theatre another") == "theatre another"


@pytest.mark.parametrize(
    ("output", "answers", "exact", "f1"),
    [
        ("The Eiffel Tower.", ["eiffel tower"], True, 1.0),
        ("It is the Eiffel Tower", ["Eiffel Tower"], False, 2 * 2 / (4 + 2)),
        ("red red blue", ["red blue blue"], False, 2 * 2 / 6),
        ("Rome", ["Paris", "Rome, Italy"], False, 2 * 1 / 3),
        ("Rome [2][1]", ["Rome"], True, 1.0),
        ("Article [2] of it", ["article of it"], False, 2 * 3 / 7),
        ("", ["Paris"], False, 0.0),
        ("the", ["a"], True, 1.0),
        ("anything", [], False, 0.0),
    ],
)
def test_exact_match_and_f1(output: str, answers: list[str], exact: bool, f1: float) -> None:
    assert exact_match(output, answers) is exact
    assert token_f1(output, answers) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("output", "answers", "held"),
    [
        ("She was born in Paris, France.", ["Paris"], True),
        ("She was born in Rome.", ["Paris", "rome"], True),
        ("In Paris. [2]", ["2"], False),
        ("In short:\n\n[1] Paris", ["Paris"], True),
        ("Parisian", ["Paris"], True),  # a substring, as AdaRAGUE counts
        ("Boy Hits Car", ["The The"], False),  # normalises to nothing
        ("It costs /- 5", ["/-", "shilling"], False),
        ("I do not know.", ["no"], False),
        ("No, and yes I know.", ["no"], True),
        ("Yes; no doubt", ["no"], False),
        ("Maybe", ["maybe"], True),
        ("no idea, nobody", ["nobody", "no"], True),
        ("x", [], False),
    ],
)
def test_contains(output: str, answers: list[str], held: bool) -> None:
    assert contains(output, answers) is held


def test_substring_ignores_verdicts() -> None:
    assert substring("I do not know.", ["no"])
    assert not substring("Boy Hits Car", ["The The"])


@pytest.mark.parametrize(
    ("output", "answers", "is_right"),
    [
        ("No, not before May.", ["no"], True),
        ("There is no rule.", ["no"], False),  # a verdict comes first
        ("It costs 32 euros.", ["32 euros", "32"], True),
        ("The Romantic period.", ["early Romantic period"], False),  # short: word for word
        (
            "A complex of DNA, RNA and protein",
            ["a complex of DNA, RNA, and probably protein"],
            True,
        ),
        ("When future recoverability is uncertain.", ["where recoverability is uncertain"], True),
        ("The moon is made of cheese.", ["where recoverability is uncertain"], False),
        ("anything", [], False),
    ],
)
def test_right(output: str, answers: list[str], is_right: bool) -> None:
    assert right(output, answers) is is_right


def test_right_agrees_with_human_judgements() -> None:
    judged = [json.loads(line) for line in BY_HAND.read_text(encoding="utf-8").splitlines()]
    both = [(right(item["output"], item["answers"]), item["right"]) for item in judged]
    assert both.count((True, False)) == 0
    assert sum(scored == read for scored, read in both) / len(both) > 0.96


@given(st.text(), st.lists(st.text(), max_size=3))
def test_measures_are_ordered(output: str, answers: list[str]) -> None:
    assert 0.0 <= token_f1(output, answers) <= 1.0
    if exact_match(output, answers):
        assert token_f1(output, answers) == 1.0
