"""An older version, or a draft, that contradicts an answer."""

from __future__ import annotations

import pytest

from expertrag.api.types import Passage
from expertrag.grounding.conflicts import conflict_note

QUESTION = "How many days of annual leave do I get?"
ANSWER = "You get 28 days of annual leave."


def passage(name: str, days: int) -> Passage:
    text = f"Employees get {days} days of annual leave."
    return Passage(name, 0, text, 0, len(text), 1.0, source=f"/share/{name}")


NEWER = passage("hr/leave-2025.docx", 28)


@pytest.mark.parametrize(
    ("older", "note"),
    [
        (passage("hr/leave-2023.docx", 25), "An older version says otherwise: hr/leave-2023.docx"),
        (passage("hr/leave DRAFT.docx", 30), "A draft says otherwise: hr/leave DRAFT.docx"),
        (passage("hr/leave-2024.docx", 28), ""),
    ],
)
def test_a_replaced_passage_that_does_not_support_the_answer_is_named(
    older: Passage, note: str
) -> None:
    assert conflict_note(ANSWER, QUESTION, [NEWER], [(older, NEWER)]).strip() == note


def test_versions_of_passages_that_are_not_cited_are_not_named() -> None:
    older = passage("hr/leave-2023.docx", 25)
    assert conflict_note(ANSWER, QUESTION, [], [(older, NEWER)]) == ""
