"""What a newcomer gets wrong, of every command of the tree: one line that says what to do.

Each command is typed with nothing, with `--help`, and with its paths as a folder or file that does
not exist, an empty folder, and a file of another kind. What else it needs has a value of its kind.
"""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from command_line import Ran, Run
from command_tree import leaf_commands

from expertrag.cli.exits import ExitCode

COMMANDS = leaf_commands()
NEEDS_NOTHING = (
    "chat", "doctor", "eval ls", "mcp", "models bench", "models list", "models pull",
    "tokens list",
)  # fmt: skip
"""Commands that do something when nothing is typed."""
FINE = {
    "eval validate": ("missing", "empty folder", "a file"),
    "index create": ("missing", "empty folder"),
    "index follow": ("missing", "empty folder", "a file"),
    "index watch": ("empty folder",),
}
"""What is right for some commands: one lists faults as its result, one makes a store, two wait for
what is not there yet."""
LONG_S = 60
CURED = {
    ExitCode.USAGE, ExitCode.NOT_FOUND, ExitCode.CORRUPT, ExitCode.CONFLICT, ExitCode.UNAVAILABLE,
    ExitCode.MISSING_PART,
}  # fmt: skip
PATHS = (
    "answers", "backup", "bundle", "changed", "dataset", "datasets", "docs", "first", "folder",
    "folders", "log", "model", "base", "paths", "profile", "reports", "rows", "second", "sources",
    "store", "target", "url", "index", "data", "labelled",
)  # fmt: skip
"""Arguments and options that are a path, or may be one."""
VALUES = {
    "address": "unix:none",
    "dtype": "int8",
    "groups": "2",
    "keep": "2",
    "names": "a,b",
    "policy": "never",
    "shell": "bash",
}


def list_needed(command: click.Command) -> Iterator[click.Parameter]:
    """Yield what must be typed, and an index where one may be."""
    for parameter in command.params:
        is_argument = isinstance(parameter, click.Argument) and parameter.nargs != -1
        if parameter.required or is_argument or parameter.name == "index":
            yield parameter


def one_line(ran: Ran) -> bool:
    """Whether a command ended with one line that says what is wrong."""
    lines = ran.err.splitlines()
    return bool(lines) and lines[-1].startswith("error: ") and "Traceback" not in ran.err


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, nothing on stdin, and an error for what takes long."""

    def hang(_number: int, _frame: object) -> None:
        raise TimeoutError(f"not ended after {LONG_S} s")

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(LONG_S)
    yield tmp_path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_nothing(name: str, run: Run) -> None:
    ran = run(*name.split(), "--help").ok()
    assert ran.out.startswith(f"Usage: expertrag {name} ") and not ran.err
    if name not in NEEDS_NOTHING:
        ran = run(*name.split())
        assert ran.code in (ExitCode.USAGE, ExitCode.UNAVAILABLE) and one_line(ran), ran


@pytest.mark.parametrize("kind", ["missing", "empty folder", "a file"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_path_is_told_in_one_line(name: str, kind: str, run: Run, here: Path) -> None:
    wrong = here / "wrong"
    if kind in FINE.get(name, ()):
        return
    if kind == "empty folder":
        wrong.mkdir()
    elif kind == "a file":
        wrong.write_bytes(b"\x00\x01 of no kind")
    typed = [
        part for parameter in list_needed(COMMANDS[name]) for part in value_of(parameter, wrong)
    ]
    if str(wrong) in typed:
        ran = run(*name.split(), *typed)
        assert ran.code in CURED and one_line(ran), (typed, ran)


def value_of(parameter: click.Parameter, wrong: Path) -> list[str]:
    """Type a parameter: a path is wrong, everything else has a value of its kind."""
    name = str(parameter.name)
    value = VALUES.get(name, "x")
    if name in PATHS:
        value = str(wrong)
    elif name == "out":
        value = str(wrong.parent / "out.jsonl")
    return [value] if isinstance(parameter, click.Argument) else [parameter.opts[-1], value]
