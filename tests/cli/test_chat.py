"""``expertrag chat``, and ``ask`` with a history."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from command_line import Run
from serving_fixtures import StartServer


@pytest.fixture
def server(start_server: StartServer) -> str:
    return start_server().address


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_a_conversation(run: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, "When are roses pruned?", "", "Above what are they pruned?", "Thanks!")
    ran = run("chat", "--server", server, "--max-tokens", 4).ok()
    assert ran.err.splitlines() == [
        "> When are roses pruned?",
        "> Above what are they pruned?",
        "> Thanks!",
    ]
    assert "Read as: Above what are roses pruned?" in ran.out
    assert ran.out.count("Gate: ") == 3
    assert "The message is about the conversation itself" in ran.out
    assert "Cost: " not in ran.out


def test_new_forgets_the_conversation_and_exit_ends_it(
    run: Run, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(
        monkeypatch,
        "When are roses pruned?",
        "/new",
        "Above what are they pruned?",
        "/exit",
        "Is this asked?",
    )
    ran = run("chat", "--server", server, "--mode", "always", "--max-tokens", 4).ok()
    assert ran.out.count("Gate: ") == 2
    assert "Read as: " not in ran.out


def test_json_prints_every_answer(run: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, "When are roses pruned?", "Above what are they pruned?")
    out = run("chat", "--server", server, "--json", "--max-tokens", 4).ok().out
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(out)
    second, _ = decoder.raw_decode(out[end:].lstrip())
    assert first["decision"]["rewritten_question"] == ""
    assert second["decision"]["rewritten_question"] == "Above what are roses pruned?"


def test_an_error_ends_a_conversation_from_a_pipe(
    run: Run, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "When are roses pruned?", "x")
    ran = run("chat", "--server", server, "--filter", '{"nosuch": 1}', "--mode", "always")
    assert ran.code == 2
    assert "error: " in ran.err.splitlines()[-1]


def test_ask_with_a_history(run: Run, server: str, tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    turns = [
        {"role": "user", "text": "When are roses pruned?"},
        {"role": "assistant", "text": "In March."},
    ]
    history.write_text("".join(f"{json.dumps(turn)}\n" for turn in turns))
    ask = ("ask", "Above what are they pruned?", "--server", server, "--max-tokens", 4)
    assert "Read as: Above what are roses pruned?\n" in run(*ask, "--history", history).ok().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"role": "user"}', "line 1 of the history"),
        ('{"role": "user", "text": "x"}\nhello', "line 2 of the history"),
        ('{"role": "system", "text": "x"}', "role user or assistant"),
        ('{"role": "user", "text": ""}', "history: is empty"),
    ],
)
def test_bad_histories(run: Run, server: str, tmp_path: Path, text: str, message: str) -> None:
    history = tmp_path / "history.jsonl"
    history.write_text(text)
    run("ask", "x", "--server", server, "--history", history).fails(2, message)


def test_a_history_that_is_not_there(run: Run, tmp_path: Path) -> None:
    run("ask", "x", "--history", tmp_path / "none").fails(2, "cannot be read")
