"""Conditions on values."""

from __future__ import annotations

import pytest
from scan_samples import TODAY, condition

from expertrag.answer.scan.conditions import Operator, read_condition
from expertrag.answer.scan.values import Kind, parse_value


@pytest.mark.parametrize(
    ("operator", "words", "value", "holds"),
    [
        (Operator.IS, "2026", "28 February 2026", True),
        (Operator.IS, "2026", "31 December 2025", False),
        (Operator.IS, "March 2026", "2026", None),  # may be in March
        (Operator.IS, "May", "9 May 2025", True),
        (Operator.IS, "May", "9 June 2025", False),
        (Operator.BEFORE, "July 2026", "30 June 2026", True),
        (Operator.BEFORE, "July 2026", "1 July 2026", False),
        (Operator.AFTER, "2025", "1 January 2026", True),
        (Operator.FROM, "2025", "1 January 2025", True),
        (Operator.UNTIL, "June 2025", "30 June 2025", True),
        (Operator.UNTIL, "June 2025", "1 July 2025", False),
    ],
)
def test_dates_are_compared_as_days(
    operator: Operator, words: str, value: str, holds: bool | None
) -> None:
    normal = parse_value(value, Kind.DATE)
    assert normal is not None
    assert condition(Kind.DATE, operator, words).holds(normal) is holds


@pytest.mark.parametrize(
    ("kind", "operator", "words", "value", "holds"),
    [
        (Kind.MONEY, Operator.MORE_THAN, "12,000 EUR", "€12,000", False),
        (Kind.MONEY, Operator.AT_LEAST, "12,000 EUR", "€12,000", True),
        (Kind.MONEY, Operator.AT_LEAST, "12,000 EUR", "$40,000", None),  # another currency
        (Kind.MONEY, Operator.LESS_THAN, "10000", "USD 9,000", True),  # of any currency
        (Kind.DURATION, Operator.MORE_THAN, "60 days", "three months", True),
        (Kind.DURATION, Operator.AT_MOST, "one month", "30 days", True),
        (Kind.NUMBER, Operator.IS, "14", "14", True),
    ],
)
def test_amounts_are_compared_by_their_units(
    kind: Kind, operator: Operator, words: str, value: str, holds: bool | None
) -> None:
    normal = parse_value(value, kind)
    assert normal is not None
    assert condition(kind, operator, words).holds(normal) is holds


@pytest.mark.parametrize(
    ("value", "holds"),
    [("Anna Meier", True), ("Dr. Anna Meier and Tom Berg", True), ("Meier", True), ("Tom", False)],
)
def test_names_are_compared_by_their_words(value: str, holds: bool) -> None:
    assert condition(Kind.NAME, Operator.IS, "Anna Meier").holds(value) is holds
    assert condition(Kind.NAME, Operator.IS_NOT, "Anna Meier").holds(value) is not holds


@pytest.mark.parametrize(
    ("question", "words", "written"),
    [
        ("Which contracts end before July 2026?", "July 2026", "before July 2026"),
        ("Welche Verträge enden vor Juli 2026?", "2026", "before Juli 2026"),
        ("Which cost over EUR 500?", "500", "more than EUR 500"),
        ("Welche kosten mindestens 500 Euro?", "500 Euro", "at least 500 Euro"),
        ("Which were signed since 2024?", "2024", "from 2024"),
        ("Which end between March and May 2026?", "between March and May 2026",
         "is between March and May 2026"),
    ],
)  # fmt: skip
def test_the_words_of_the_question_overrule_the_operator(
    question: str, words: str, written: str
) -> None:
    kind = Kind.MONEY if "5" in words else Kind.DATE
    read = read_condition(kind, Operator.IS, words, question, TODAY)
    assert str(read) == written


def test_a_value_that_cannot_be_read_is_no_condition() -> None:
    assert read_condition(Kind.DATE, Operator.IS, "Ostern", "an Ostern?", TODAY) is None
