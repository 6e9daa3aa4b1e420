"""Dates in the forms of offices."""

from __future__ import annotations

import pytest

from expertrag.grounding.values import Value, value_at


def read(text: str) -> Value:
    value = value_at(text, 0, text.split()[0].strip(".,").lower())
    assert value is not None, text
    return value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *(
            (text, ("--03-04", "2025"))
            for text in (
                "2025-03-04",
                "4 March 2025",
                "March 4, 2025",
                "04.03.2025",
                "4.3.2025",
                "04.03.25",
                "4th of March 2025",
                "4. März 2025",
                "Tue, 4 Mar 2025",
                "Tuesday, March 4th, 2025",
                "2025-03-04T09:12",
                "4-Mar-2025",
            )
        ),
        ("4 March", ("--03-04",)),
        ("March 2025", ("--03", "2025")),
        ("03/2025", ("--03", "2025")),
        ("2025-03", ("--03", "2025")),
        ("March", ("--03",)),
        ("31 May", ("--05-31",)),
        ("25/12/2024", ("--12-25", "2024")),
    ],
)
def test_dates(text: str, words: tuple[str, ...]) -> None:
    assert read(text).words == words


def test_slashes_have_two_readings() -> None:
    value = read("12/06/2024")
    assert value.words + value.also == ("--06-12", "2024", "--12-06")


def test_a_date_supports_its_month_and_weekday() -> None:
    assert {"--02", "thursday"} <= {*read("Thu, 13 February").holds}


@pytest.mark.parametrize("text", ["5.3.10", "2310-2280", "2024-13-01", "45 days", "1.200"])
def test_other_numbers_are_no_dates(text: str) -> None:
    assert not read(text).words[0].startswith("--")


@pytest.mark.parametrize("text", ["May", "Mon", "march", "may be"])
def test_words_that_are_no_dates(text: str) -> None:
    assert value_at(text, 0, text.split()[0].lower()) is None
