"""Passages that amend earlier ones."""

from __future__ import annotations

import pytest

from expertrag.api.types import Passage
from expertrag.grounding.amendments import date_of, put_amended_first


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
    assert put_amended_first(question, [BRIEF, MINUTES]) == (MINUTES, BRIEF)
    assert put_amended_first(question, [BRIEF, MINUTES, LATER]) == (LATER, MINUTES, BRIEF)


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
    assert put_amended_first(question, passages) == tuple(passages)


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
