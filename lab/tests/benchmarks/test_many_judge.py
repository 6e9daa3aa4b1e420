"""Verdicts on answers, against verdicts made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from many.answer import Cell, Given
from many.judge import judge
from many.question import (
    AGGREGATE,
    COMPARE,
    COUNT,
    DOCUMENT,
    EXISTS,
    LATEST,
    LIST,
    TABLE,
    TWO_HOPS,
    Question,
)

PEOPLE = (("Ada Finch",), ("Bo Reed",), ("Cy Moss",), ("Di Vane",))


def asked(kind: str, text: str = "Who?", **more: Any) -> Question:
    return Question("q", "folder", kind, TABLE, text, **more)


def said(text: str, *rows: tuple[Cell, ...], **more: Any) -> Given:
    return Given("q", "auto", text=text, finish_reason="stop", rows=rows, **more)


def right(question: Question, text: str, *rows: tuple[Cell, ...]) -> bool:
    return judge(question, said(text, *rows)).right


def test_f1_of_a_list_counts_wrong_and_missing_items() -> None:
    question = asked(LIST, needed=PEOPLE[:2], universe=PEOPLE)
    assert judge(question, said("Ada Finch and Bo Reed.")).right
    some = judge(question, said("Ada Finch, Cy Moss"))
    assert (some.right, some.share) == (False, 0.5)
    assert judge(question, said("Ada Finch")).share == pytest.approx(2 / 3)
    assert judge(question, said("Nobody.")).share == 0


def test_other_columns_of_a_table_are_not_items() -> None:
    question = asked(LIST, needed=PEOPLE[:2], universe=PEOPLE)
    assert right(question, "2 people.", ("Ada Finch", "Cy Moss"), ("Bo Reed", "Cy Moss"))
    assert not right(question, "2 people.", ("Ada Finch", "Cy Moss"), ("Di Vane", "Cy Moss"))
    assert right(question, "Ada Finch, Bo Reed", ("Ada Finch",))


def test_names_in_the_question_are_not_wrong_items() -> None:
    question = asked(LIST, "Who reports to Di Vane?", needed=PEOPLE[:1], universe=PEOPLE)
    assert right(question, "Ada Finch reports to Di Vane.")


def test_counts() -> None:
    question = asked(COUNT, "How many incidents in May 2025?", numbers=(3.0,))
    assert right(question, "3")
    assert right(question, "There were three incidents in May 2025.")
    assert right(question, "In May 2025, 3 of 26 incidents happened.")
    assert right(question, "Counted:", (3,))
    assert not right(question, "4 incidents. One lasted 3 hours.")
    assert not judge(question, replace(said("3"), finish_reason="abstained")).right


def test_sums_in_other_notations() -> None:
    question = asked(AGGREGATE, "What did we spend?", numbers=(6184.96,))
    assert right(question, "We spent 6,184.96 EUR.")
    assert right(question, "Es sind 6.184,96 €.")
    assert right(question, "834.21 + 5350.75 = 6184.96")
    assert not right(question, "834.21 EUR")
    several = asked(AGGREGATE, numbers=(10.5, 7.0))
    assert right(several, "10.50 pounds and 7 euros")
    assert not right(several, "10.50 pounds")


def test_who_has_the_most() -> None:
    question = asked(AGGREGATE, needed=PEOPLE[1:2], universe=PEOPLE)
    assert right(question, "Bo Reed, ahead of Ada Finch")
    assert right(question, "See the table.", ("Bo Reed", 70), ("Ada Finch", 20))
    assert not right(question, "Ada Finch")


def test_comparisons() -> None:
    question = asked(COMPARE, needed=PEOPLE[:1], universe=PEOPLE[:2])
    assert right(question, "Bo Reed came in 2022, Ada Finch in 2021, so Ada Finch was earlier.")
    assert right(question, "Ada Finch")
    assert not right(question, "Bo Reed was earlier than Ada Finch.")
    both = asked(COMPARE, needed=(("Oslo",), ("Leeds",)))
    assert right(both, "One is in Oslo, the other in Leeds.")
    assert not right(both, "Both are in Oslo.")


@pytest.mark.parametrize(
    ("text", "rows", "verdict"),
    [
        ("Yes, Ada Finch.", (), True),
        ("Nein.", (), False),
        ("There is no such contract.", (), False),
        ("0 of 18 contracts match.", (), False),
        ("Ada Finch is one that is not broken.", (), True),
        ("3 contracts match.", (), True),
        ("Counted from the table:", ((0,),), False),
        ("As follows:", (("Ada Finch",),), True),
        ("Hm.", (), None),
    ],
)
def test_yes_and_no(text: str, rows: tuple[tuple[Cell, ...], ...], verdict: bool | None) -> None:
    for expected in (True, False):
        question = asked(EXISTS, verdict=expected, needed=PEOPLE[:1])
        assert right(question, text, *rows) is (verdict is expected)


def test_an_older_value_is_stale_unless_the_answer_says_so() -> None:
    question = asked(LATEST, needed=(("149",),), stale=("110", "135"))
    assert judge(question, said("149 pounds")).right
    assert judge(question, said("149 pounds; it was 135 before")).right
    old = judge(question, said("135 pounds"))
    assert (old.right, old.stale) == (False, True)


def test_facts_of_a_document_and_those_with_a_citation() -> None:
    facts = (("18,420",), ("Skua",), ("3.7 percent", "3.7%"), ("driver",))
    given = said(
        "18420 tents were sold, most of them Skua. Returns fell to 3.7%. Drivers are praised.",
        cited_texts=("18420 tents were sold, most of them Skua.",),
    )
    verdict = judge(asked(DOCUMENT, needed=facts), given)
    assert (verdict.right, verdict.share, verdict.cited) == (True, 1.0, 0.5)


def test_two_hops() -> None:
    assert right(asked(TWO_HOPS, needed=(("Oslo",),)), "She works in Oslo.")
    assert not right(asked(TWO_HOPS, needed=(("Oslo",),)), "She works there.")


def test_a_warning_is_an_abstention_a_reason_or_a_coverage_that_is_not_complete() -> None:
    assert said("3").unwarned
    assert not said("3", unsupported_reason="3 is not in the passage").unwarned
    assert said("3", coverage={"complete": True}).unwarned
    assert not said("3", coverage={"complete": None}).unwarned
    assert not said("3", coverage={"complete": False}, unsupported_reason="").unwarned
    assert said("3").admits
    assert not said("3", coverage={"complete": True}).admits
