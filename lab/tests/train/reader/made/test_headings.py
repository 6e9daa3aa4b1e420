"""Questions from titles and headings."""

from __future__ import annotations

import pytest

from expertrag_lab.train.reader.made.headings import headings, question_of
from expertrag_lab.train.reader.made.types import Piece


def _asked(text: str, title: str = "") -> dict[str, str]:
    return {made.question: made.answer for made in headings(Piece("d#0", "d", title, text))}


@pytest.mark.parametrize(
    ("heading", "question"),
    [
        ("How do I reset my password?", "How do I reset my password?"),
        ("3. how is leave counted?", "How is leave counted?"),
        ("Q2: Can I work abroad?", "Can I work abroad?"),
        ("How to rotate keys", "How do I rotate keys?"),
        ("Passwords", ""),
        ("How we work", ""),
        ("Ready?", ""),
    ],
)
def test_headings_that_ask(heading: str, question: str) -> None:
    assert question_of(heading) == question


def test_the_first_sentence_below_a_heading_answers() -> None:
    text = (
        "# Accounts\n\nAll about accounts.\n\n## How do I reset my password?\n\n"
        "Open the settings and choose Reset password. A mail comes.\n\n"
        "## How to close an account\n\nIt is done by a form.\n\nWho may see my data?\n"
        "Only the two people of the support team.\n"
    )
    assert _asked(text) == {
        "How do I reset my password?": "Open the settings and choose Reset password.",
        "Who may see my data?": "Only the two people of the support team.",
    }


def test_a_title_that_is_a_question() -> None:
    text = "Open the settings and choose Reset password."
    assert _asked(text, "How to reset a password") == {"How do I reset a password?": text}


def test_a_title_that_is_defined() -> None:
    text = "Write-ahead logging (WAL) is a standard method for data integrity. More follows."
    first = "Write-ahead logging (WAL) is a standard method for data integrity."
    assert _asked(text, "Write-ahead logging") == {"What is Write-ahead logging?": first}
    assert _asked("A trigger is a function that runs by itself.", "Trigger") == {
        "What is a trigger?": "A trigger is a function that runs by itself."
    }
    assert list(_asked("Ada Abeson (born 1801) is a Scottish painter of ships.", "Ada Abeson")) == [
        "Who is Ada Abeson?"
    ]
    assert not _asked("Logging costs a little time on every server.", "Logging")


def test_a_command_that_is_described() -> None:
    said = "REINDEX rebuilds an index using the data stored in its table."
    page = f"REINDEX REINDEX — rebuild Synopsis REINDEX [ ( option ) ] Description {said} More."
    assert _asked(page, "REINDEX") == {"What does REINDEX do?": said}
    assert _asked("pg_dump writes a script of version 1.2 into a file.", "pg_dump")
    assert not _asked("REINDEX is done rarely by most of us.", "REINDEX")
    assert not _asked("REINDEX rebuilds.", "REINDEX")
    assert not _asked("", "Logging")
