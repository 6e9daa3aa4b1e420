"""Cloze questions, and sentences that give none."""

from __future__ import annotations

import pytest

from expertrag_lab.train.reader.made.cloze import cloze
from expertrag_lab.train.reader.made.types import Piece


def _asked(text: str) -> dict[str, str]:
    return {made.question: made.answer for made in cloze(Piece("d#0", "d", "", text))}


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        (
            "The parameter autovacuum_naptime specifies the minimum delay between autovacuum runs.",
            "Which parameter specifies the minimum delay between autovacuum runs?",
            "autovacuum_naptime",
        ),
        (
            "The `shared_buffers` setting determines how much memory the server uses for caching.",
            "Which setting determines how much memory the server uses for caching?",
            "shared_buffers",
        ),
        (
            "pg_restore is a utility for restoring a database from an archive file.",
            "What is a utility for restoring a database from an archive file?",
            "pg_restore",
        ),
        (
            "James Hutton is often viewed as the first modern geologist of Scotland.",
            "Who is often viewed as the first modern geologist of Scotland?",
            "James Hutton",
        ),
        (
            "The visibility map stores two bits per heap page of a table.",
            "How many bits does the visibility map store per heap page of a table?",
            "two bits",
        ),
        (
            "The SQL standard defines four levels of transaction isolation for sessions.",
            "How many levels of transaction isolation for sessions does the SQL standard define?",
            "four levels",
        ),
        (
            "The first geological map of Scotland was produced by volunteers in 1809.",
            "When was the first geological map of Scotland produced by volunteers?",
            "1809",
        ),
        (
            "The painter of the two ships was born in Aberdeen.",
            "Where was the painter of the two ships born?",
            "Aberdeen",
        ),
        (
            "The encoding for a database is stored in the catalog `pg_database`.",
            "Which catalog is the encoding for a database stored in?",
            "pg_database",
        ),
        (
            "The special variable SQLERRM contains the error message of the exception.",
            "What does the special variable SQLERRM contain?",
            "the error message of the exception",
        ),
    ],
)
def test_forms(sentence: str, question: str, answer: str) -> None:
    assert _asked(sentence)[question] == answer


@pytest.mark.parametrize(
    "sentence",
    [
        "It specifies the minimum delay of 30 seconds between two autovacuum runs.",
        "However, pg_restore is a utility for restoring a database from an archive.",
        "This parameter specifies the delay of 30 seconds between two autovacuum runs.",
        "pg_restore reads it.",
        "SELECT name FROM users WHERE id = 5; the statement returns 5 rows here.",
        "Table 9.67 lists pg_restore and 12 other commands of the whole distribution.",
        "pg_restore is a utility that is described in the section about backups.",
        "| pg_restore | restores a database from an archive of two files |.",
        "Every server must be restarted before the change can take its effect.",
    ],
)
def test_no_question(sentence: str) -> None:
    assert not _asked(sentence)


def test_a_title_run_into_the_text_is_removed() -> None:
    text = "Database Roles A login role contains the permissions of one or two users."
    made = cloze(Piece("d#0", "d", "Database Roles", text))
    assert [item.question for item in made] == ["What does a login role contain?"]


def test_code_gives_no_question() -> None:
    text = "Run this:\n\n```sh\nThe command pg_restore restores a database from an old file.\n```\n"
    assert not _asked(text)
