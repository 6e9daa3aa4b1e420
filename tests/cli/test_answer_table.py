"""The table of an answer in the terminal, with how it was counted."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from command_line import Run
from serving_fixtures import StartServer
from table_fixtures import COVERAGE, QUERY, TABLE, TEXT, CountingPipeline, OpenCounting

from expertrag.api.events import TableEvent
from expertrag.api.jsonable import to_json
from expertrag.api.tables import AnswerTable

ROWS = """\
title                      days  paid
-------------------------  ----  -----
leave                        27  true
<script>alert(1)</script>   2.5
=cmd|" /C calc"!A0           -3  false
"""
NOTES = [
    f"how this was counted: {QUERY}",
    "40 of 42 rows searched; not sure that this is complete: 2 documents could not be read",
]


@pytest.fixture
def counting(open_counting: OpenCounting) -> CountingPipeline:
    return open_counting()


@pytest.fixture
def server(start_server: StartServer, counting: CountingPipeline) -> str:
    return start_server(lambda: counting).address


def test_ask_prints_text_and_table_and_notes_how_it_was_counted(run: Run, server: str) -> None:
    ran = run("ask", "How", "many?", "--server", server).ok()
    assert ran.out == f"{TEXT}\n\n{ROWS}"
    lines = ran.err.splitlines()
    assert lines[0] == "reading documents: 0/40"
    assert lines[1].startswith("reading documents: 40/40")
    assert [line for line in lines if line in NOTES] == NOTES


def test_quietly_it_prints_the_answer_alone(run: Run, server: str) -> None:
    ran = run("ask", "How many?", "-q", "--server", server).ok()
    assert (ran.out, ran.err) == (f"{TEXT}\n\n{ROWS}", "")


def test_json_has_the_structure(run: Run, server: str) -> None:
    got = run("ask", "How many?", "--json", "--server", server).json()
    assert (got["table"], got["coverage"]) == (to_json(TABLE), to_json(COVERAGE))


def test_chat_does_the_same(run: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("How many?\n"))
    ran = run("chat", "--server", server, "--scope", "list").ok()
    assert ran.out == f"{TEXT}\n\n{ROWS}\n"
    assert set(NOTES) <= set(ran.err.splitlines())


def test_scope_and_day_are_sent(run: Run, server: str, counting: CountingPipeline) -> None:
    asked = ("ask", "Which?", "--scope", "list", "--as-of", "2026-01-31", "--json")
    got = run(*asked, "--server", server).json()
    assert got["decision"]["scope"] == "list"
    assert counting.days == ["2026-01-31"]
    run("ask", "Which?", "--scope", "all", "--server", server).fails(2, "--scope", "lookup")
    run("ask", "Which?", "--as-of", "today", "--server", server).fails(2, "as_of", "2026-01-31")


def test_a_long_table_is_cut_and_cannot_control_the_terminal(
    run: Run, server: str, counting: CountingPipeline
) -> None:
    rows = tuple((f"row \x1b[2J{number}", "x" * 99) for number in range(2_021))
    counting.counted = TableEvent(AnswerTable(("name", "long"), rows), replace(COVERAGE))
    lines = run("ask", "Which?", "--server", server).ok().out.splitlines()
    assert lines[-1] == "… 2,001 more; --json has all"
    assert len(lines) == 2 + 2 + 20 + 1
    assert lines[4] == f"row [2J0   {'x' * 59}…"


def test_a_table_that_the_text_says_is_not_printed_again(
    run: Run, server: str, counting: CountingPipeline
) -> None:
    counting.counted = TableEvent(AnswerTable(("name",), (("leave",), ("travel",))), COVERAGE)
    counting.text = "They are leave and travel."
    assert run("ask", "Which?", "--server", server).ok().out == f"{counting.text}\n"
