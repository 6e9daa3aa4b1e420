"""Passages that amend earlier ones."""

from __future__ import annotations

import pytest

from expertrag.api.types import Passage
from expertrag.grounding.amendments import date_of, days_in, put_amended_first


def passage(path: str, text: str, **metadata: str) -> Passage:
    return Passage(
        document_id=path,
        ordinal=0,
        text=text,
        start=0,
        end=len(text),
        score=1.0,
        source=f"/share/{path}",
        metadata=metadata,
    )


BRIEF = passage(
    "Heron/brief.docx", "The budget is €640,000. The pilot starts in May.", modified="2025-01-15"
)
MINUTES = passage(
    "Heron/Minutes/2025-06-18 steering.docx", "Decision: the budget is raised to €685,000."
)
LATER = passage(
    "Heron/Minutes/2025-08-02 steering.docx", "The budget is cut. It is lowered to €600,000."
)


def test_a_later_change_of_what_is_asked_stands_first() -> None:
    question = "What is the budget of Heron?"
    assert put_amended_first(question, [BRIEF, MINUTES]) == ((MINUTES, BRIEF), ((BRIEF, MINUTES),))
    assert put_amended_first(question, [BRIEF, MINUTES, LATER])[0] == (LATER, MINUTES, BRIEF)


@pytest.mark.parametrize(
    ("question", "passages"),
    [
        ("When does the pilot of Heron start?", [BRIEF, MINUTES]),  # the change is of the budget
        (
            "What is the budget of Osprey, in euros?",
            [BRIEF, passage("x.md", "The budget is void.")],
        ),
        ("What was the previous budget of Heron?", [BRIEF, MINUTES]),
        ("What is the budget of Heron?", [MINUTES, BRIEF]),
        ("What is the budget of Heron?", [passage("brief.md", BRIEF.text), MINUTES]),  # no date
    ],
)
def test_other_passages_keep_their_order(question: str, passages: list[Passage]) -> None:
    assert put_amended_first(question, passages)[0] == tuple(passages)


@pytest.mark.parametrize(
    ("question", "earlier", "later"),
    [
        (
            "How often is the drill with lifejackets held?",
            passage("drill_march_2024.txt", "March 2024. The drill with lifejackets is monthly."),
            passage(
                "drill.txt",
                "This replaces the notice of March 2024. The drill with lifejackets is held every "
                "two weeks. January 2025",
            ),
        ),
        (
            "What may a manager sign for alone?",
            passage("limits.txt", "Limits, January 2023\n\nA manager may sign for £200 alone."),
            passage(
                "change.txt",
                "Amendment of 3 June 2025 to the limits of January 2023\n\nThe amount that a "
                "manager may sign for alone rises to £450.",
            ),
        ),
        (
            "Wie viele Tage darf ich zu Hause arbeiten?",
            passage("heimarbeit.txt", "März 2022: Ein Tag je Woche ist zu Hause möglich, arbeiten"),
            passage(
                "aushang.txt",
                "Dieser Aushang ersetzt die Regelung vom März 2022. Ab 1. Oktober 2023 sind zwei "
                "Tage zu Hause möglich.",
            ),
        ),
    ],
)
def test_a_document_that_replaces_another_one_stands_first(
    question: str, earlier: Passage, later: Passage
) -> None:
    expected = ((later, earlier), ((earlier, later),))
    assert put_amended_first(question, [earlier, later]) == expected
    assert put_amended_first(question, [later, earlier]) == expected


def test_an_amendment_of_another_contract_keeps_its_rank() -> None:
    lease = passage("heron.txt", "Lease of 3 May 2020. Heron Ltd pays a rent of £500.")
    other = passage("osprey.txt", "Amendment of 1 June 2024. The rent of Osprey Ltd is £900.")
    question = "What rent does Heron Ltd pay?"
    assert put_amended_first(question, [lease, other])[0] == (lease, other)


def test_the_days_in_a_text() -> None:
    text = "Since May 2023; from 1 March 2025, 2024-02-29, 3. 10. 2022 and room 2020"
    assert days_in(text) == ["2023-05", "2025-03-01", "2024-02-29", "2022-10-03"]


@pytest.mark.parametrize(
    ("path", "metadata", "expected"),
    [
        ("Minutes/2025-06-18 steering.docx", {"modified": "2025-07-01"}, "2025-06-18"),
        ("Amendment 1 2025-04.docx", {}, "2025-04"),
        ("brief.docx", {"modified": "2025-01-15T10:00:00Z"}, "2025-01-15"),
        ("brief.docx", {"date": "last spring"}, ""),
        ("order 20417.pdf", {}, ""),
    ],
)
def test_the_date_of_a_passage(path: str, metadata: dict[str, str], expected: str) -> None:
    assert date_of(passage(path, "", **metadata)) == expected
