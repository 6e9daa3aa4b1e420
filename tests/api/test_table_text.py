"""The table of an answer as text."""

from __future__ import annotations

import pytest

from expertrag.api.table_text import adds_to, cell_text, coverage_text, markdown_of
from expertrag.api.tables import AnswerTable, Coverage
from expertrag_retriever.types import Scalar

NAMES = AnswerTable(("title", "days"), (("leave", 27), ("travel", 2.5)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (6184.96, "6184.96"),
        (0.1 + 0.2, "0.3"),
        (3.0, "3"),
        (12345678901234567, "12345678901234567"),
        ("two\n lines", "two lines"),
    ],
)
def test_cells(value: Scalar | None, text: str) -> None:
    assert cell_text(value) == text


@pytest.mark.parametrize(
    ("table", "text", "adds"),
    [
        (None, "None.", False),
        (AnswerTable(("count",), ((3,),)), "There are many.", False),  # one value is the text's
        (NAMES, "Leave is long.", True),
        (NAMES, "leave: 27 days, travel: 2.5 days", False),
        (NAMES, "leave: 127 days, travel: 2.5 days", True),  # 127 is not 27
        (AnswerTable(("title", "days"), ()), "There are none.", False),
        (AnswerTable(("title", "days"), ((None, None),)), "There are none.", False),
    ],
)
def test_a_table_is_shown_if_it_says_more(table: AnswerTable | None, text: str, adds: bool) -> None:
    assert adds_to(table, text) is adds


def test_markdown_shows_what_is_in_a_cell() -> None:
    table = AnswerTable(
        ("a|b", "c"),
        (("<img src=x>", None), ("![x](http://x)", "`*_\\"), ("two\nlines", 1)),
    )
    assert markdown_of(table, 2).splitlines() == [
        r"| a\|b | c |",
        "| --- | --- |",
        r"| \<img src=x\> |  |",
        r"| !\[x\](http://x) | \`\*\_\\ |",
        "",
        "… 1 more",
    ]
    assert markdown_of(table, 3).splitlines()[-1] == "| two lines | 1 |"


@pytest.mark.parametrize(
    ("coverage", "query", "text"),
    [
        (Coverage(42, 3, 42, complete=True), "", "42 of 42 documents searched, complete"),
        (
            Coverage(1_042, 3, 1_042, complete=True),
            "SELECT title FROM documents",
            "1,042 of 1,042 rows searched, complete",
        ),
        (
            Coverage(42, 3, 40, 2, None, "2 are not read"),
            "read one by one",
            "40 of 42 documents searched; not sure that this is complete: 2 are not read",
        ),
        (Coverage(9, 3, 9), "", "9 of 9 documents searched; not sure that this is complete"),
        (
            Coverage(9, 3, 4, 5, False, "time is up"),
            "",
            "4 of 9 documents searched; this is not complete: time is up",
        ),
    ],
)
def test_what_was_searched(coverage: Coverage, query: str, text: str) -> None:
    assert coverage_text(coverage, query) == text
