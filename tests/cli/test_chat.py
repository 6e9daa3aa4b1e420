"""``expertrag chat``, and ``ask`` with a history."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from command_line import Run
from serving_fixtures import OpenPipeline, PacedGenerator, StartServer
from terminal_helper import Terminal


@pytest.fixture
def server(start_server: StartServer) -> str:
    return start_server().address


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_a_conversation(run: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, "When are roses pruned?", "", "Above what are they pruned?", "Thanks!")
    ran = run("chat", "--server", server, "--max-tokens", 4).ok()
    lines = ran.err.splitlines()
    assert [line for line in lines if line.startswith("> ")] == [
        "> When are roses pruned?",
        "> Above what are they pruned?",
        "> Thanks!",
    ]
    at = lines.index("> Above what are they pruned?")
    assert lines[at + 1] == "Read as: Above what are roses pruned?"
    assert lines[at + 2].startswith("Gate: ")
    assert ran.err.count("Gate: ") == 3
    assert "The message is about the conversation itself" in ran.err
    assert "Cost: " not in ran.err
    assert ran.out == "0 1 2 3 \n\n" * 3  # the answers alone


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
    assert ran.err.count("Gate: ") == 2
    assert "Read as: " not in ran.err


def test_commands(run: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(
        monkeypatch,
        "/mode",
        "When are roses pruned?",
        "/why",
        "/mode always",
        "When are roses pruned?",
        "/sources",
        "/mode never",
        "When are roses pruned?",
        "/sources",
        "/help",
    )
    ran = run("chat", "--server", server, "--max-tokens", 4).ok()
    told = {part.splitlines()[0]: part.splitlines()[1:] for part in ran.err.split("> ")[1:]}
    modes = "default, auto, never, always, strict"
    assert told["/mode"] == [f"Mode: default (of {modes})"]
    assert told["/mode always"] == [f"Mode: always (of {modes})"]
    assert told["/why"][0].startswith("Gate: ")
    assert {"  probabilities", "  signals"} <= set(told["/why"])
    assert told["/help"][-1] == f"{'/exit'.ljust(42)}end, as Ctrl-D does"
    assert told["/sources"] == ["The last answer is not from the documents: there are no passages."]
    assert "Passages that were read for it, 5:\n  1. " in ran.err
    assert ran.out == "0 1 2 3 \n\n" * 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/sauces", "there is no command /sauces; there are /why, /sources, /mode, /new"),
        ("/", "there is no command /; there are"),
        ("/mode sometimes", "there is no mode sometimes; choose one of default, auto, never"),
        ("/why is that?", "/why takes no argument"),
        ("/why", "there is no question yet"),
    ],
)
def test_what_is_not_a_command(
    run: Run, server: str, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    type_in(monkeypatch, line)
    ran = run("chat", "--server", server)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-1].startswith(f"error: {message}")


def test_a_question_may_begin_with_a_path(
    run: Run, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "/etc/hosts holds what?")
    assert run("chat", "--server", server, "--max-tokens", 1).ok().out == "0 \n\n"


def test_in_a_terminal(server: str) -> None:
    """The gate's line is dimmed, errors end no conversation, Ctrl-D does."""
    with Terminal("chat", "--server", server, "--mode", "always", "--max-tokens", "4") as terminal:
        terminal.shows("Ctrl-D ends.")
        terminal.types_at("> ", "When are roses pruned?\n")
        terminal.shows("\x1b[2mGate: retrieve (always). ")
        terminal.shows("0 1 2 3 \r\n")
        terminal.types_at("> ", "/sauces\n")
        terminal.shows("error: there is no command /sauces")
        terminal.types_at("> ", "/mode never\n")
        terminal.shows("Mode: never")
        terminal.types_at("> ", "\x04")
        assert terminal.ends() == 0


def test_ctrl_c_stops_an_answer(start_server: StartServer, open_pipeline: OpenPipeline) -> None:
    """Its decision can be explained, and no answer before it is taken for it."""
    slow = PacedGenerator(step_s=0.02, words=2000)
    address = start_server(lambda: open_pipeline(slow)).address
    with Terminal("chat", "--server", address, "--max-tokens", "2000") as terminal:
        terminal.types_at("> ", "When are roses pruned?\n")
        terminal.types_at("0 1 2 ", "\x03")
        terminal.shows("stopped")
        terminal.types_at("> ", "/why\n")
        terminal.shows("  probabilities")
        terminal.types_at("> ", "/sources\n")
        terminal.shows("error: there is no answer")
        terminal.types_at("> ", "\x04")
        assert terminal.ends() == 0


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
    assert "Read as: Above what are roses pruned?\n" in run(*ask, "--history", history).ok().err


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
