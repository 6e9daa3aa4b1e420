"""Every flag of every command that asks a server is seen to change something, or is refused.

The commands and their flags are those of the tree: a new flag is tested as soon as it is there.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from command_line import Run
from command_tree import leaf_commands
from recording_server import RecordingServer, SentCall
from serving_fixtures import StartServer

from expertrag.cli.assignments import ASSIGNED
from expertrag.config import settings

_APPLICATION = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
SPOKEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("initialize", _APPLICATION),
    ("tools/list", {}),
    ("tools/call", {"name": "answer", "arguments": {"question": "When are roses pruned?"}}),
)
"""What an application asks of ``mcp``."""
TYPED: dict[str, tuple[str, ...]] = {
    "adapters list": (),
    "adapters load": ("legal", "folder"),
    "adapters unload": ("legal",),
    "ask": ("When are roses pruned?",),
    "chat": (),
    "gate explain": ("When are roses pruned?",),
    "gate feedback": ("an-answer", "--answer", "In spring."),
    "mcp": (),
    "retrieve": ("roses",),
}
"""What is typed beside the flag. A command that asks a server is missing here until it is added."""

VALUES = {
    "--adapter": "legal",
    "--answer": "In March.",
    "--as-of": "2026-01-31",
    "--ca": "system",
    "--base-url": "http://localhost:8080",
    "--choice": "March",
    "--domain": "garden",
    "--filter": '{"year": 2020}',
    "--grammar": 'start: "March"',
    "--history": '{"role": "user", "text": "What are roses?"}',
    "--json-schema": '{"enum": [1]}',
    "--query": "When are roses pruned?",
    "--regex": "[a-z]+",
    "--timeout": "20",
    "--token-file": "a-token",
}
"""Values of flags that take any text; of those that take a file, its text."""

SETTINGS = {
    "lab.routing": "top_k:1",
    "lab.weak_routing": "top_k:2",
    "request.as_of": "2026-01-31",
}
"""Values of settings that take any text."""

VOLATILE = re.compile(r"\b\d+\.\d+ s\b|seconds \d+\.\d+|[0-9a-f]{8,}|:\d{4,5}\b")
"""Durations, ids and ports, which differ from run to run."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a command did: how it ended, what it printed, and what the server got."""

    code: int
    out: list[str]
    err: str
    calls: tuple[SentCall, ...]


HEEDED = (
    "config_file", "ca", "token_file", "timeout", "collection", "search__k", "allow_writes",
    "base_url",
)  # fmt: skip
"""Parameters of ``mcp`` with an effect, which are tried in a process of its own."""

Observe = Callable[..., Seen]

CLIENTS = {
    name: command
    for name, command in leaf_commands().items()
    if any(parameter.name == "server" for parameter in command.params)
}


def _sets(name: str) -> bool:
    return any(parameter.name == ASSIGNED for parameter in CLIENTS[name].params)


def options_of(command: click.Command) -> Iterator[click.Option]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield parameter


def assignments() -> Iterator[tuple[str, list[str]]]:
    """Yield every setting, and how ``--set`` gives it a value that is not its default."""
    for item in settings():
        value: object = SETTINGS.get(item.key, "other")
        if item.kind is bool:
            value = not item.default
        elif item.choices:
            value = next(choice for choice in item.choices if choice and choice != item.default)
        elif item.kind is not str:
            start = item.default if isinstance(item.default, int | float) else item.minimum or 0
            value = int(start) + 1 if item.kind is int else float(start) + 0.25
        if item.section:
            yield item.key, ["--set", f"{item.key}={value}"]


def typed(option: click.Option, folder: Path) -> list[str]:
    """Type an option with a value that is not its default."""
    name = option.opts[-1]
    if option.is_flag:
        return [next(iter(option.secondary_opts), name) if option.default is True else name]
    if name in VALUES and isinstance(option.type, click.Path):
        return [name, _written(folder, VALUES[name])]
    if name in VALUES:
        return [name, VALUES[name]]
    if isinstance(option.type, click.Choice):
        return [name, next(choice for choice in option.type.choices if choice != option.default)]
    default = option.default if isinstance(option.default, int | float) else 0
    if option.type.name.startswith("integer"):
        return [name, str(default + 1)]
    if option.type.name.startswith("float"):
        return [name, str(default + 0.25)]
    return [name, "other"]


def _written(folder: Path, text: str) -> str:
    file = folder / "value"
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.fixture
def recording(start_server: StartServer) -> Iterator[RecordingServer]:
    server = RecordingServer(start_server().address)
    yield server
    server.close()


@pytest.fixture
def observe(
    run: Run, spawn: Run, recording: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> Observe:
    """Run a command, and return what it did; ``mcp`` in its own process, if it is to serve."""

    def observed(name: str, *more: str, heeded: bool = True) -> Seen:
        recording.calls.clear()
        arguments = (*name.split(), *TYPED[name], *more)
        if name == "mcp" and heeded:
            ran = spawn(*arguments, input=_spoken())
        else:
            monkeypatch.setattr("sys.stdin", io.StringIO("When are roses pruned?\n"))
            ran = run(*arguments)
        out, err = (VOLATILE.sub("", text) for text in (ran.out, ran.err))
        return Seen(ran.code, sorted(out.splitlines()), err, tuple(recording.calls))

    return observed


def _spoken() -> str:
    """Requests of an application to ``mcp``."""
    return "".join(
        json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n"
        for number, (method, params) in enumerate(SPOKEN)
    )


def test_every_client_is_here() -> None:
    assert TYPED.keys() == CLIENTS.keys()


@pytest.mark.parametrize("name", TYPED)
def test_flags_change_something_or_are_refused(
    name: str, observe: Observe, recording: RecordingServer, tmp_path: Path
) -> None:
    server = ("--server", recording.address)
    without = observe(name, *server)
    assert without.calls, without.err
    assert observe(name, *server) == without, "what it does is the same each time"
    ignored = []
    for option in options_of(CLIENTS[name]):
        arguments = (*server, *typed(option, tmp_path))
        if option.name in ("server", ASSIGNED) or (without.code and option.name == "as_json"):
            continue  # the server is asked by all of these; a failure is printed the same way
        if option.name == "config_file":  # a server that it names is asked
            arguments = ("--config", _written(tmp_path, f'[service]\naddress = "{server[1]}"\n'))
        seen = observe(name, *arguments, heeded=option.name in HEEDED)
        changed = seen.calls == without.calls if option.name == "config_file" else seen != without
        if not changed or (_refused(seen) and option.opts[-1] not in seen.err):
            ignored.append(" ".join(arguments))
    assert not ignored


@pytest.mark.parametrize("name", [name for name in TYPED if _sets(name)])
def test_settings_change_something_or_are_refused(
    name: str, observe: Observe, recording: RecordingServer
) -> None:
    server = ("--server", recording.address)
    without = observe(name, *server)
    ignored, changed = [], []
    for key, arguments in assignments():
        if name == "mcp" and key == "search.k":
            continue  # it is heeded, in a process of its own: its flag is tested
        if key in ("lab.beta", "lab.weak_routing"):
            arguments = [*arguments, "--set", "lab.contrast=routing"]
        seen = observe(name, *server, *arguments, heeded=False)
        if _refused(seen):
            ignored += [] if key in seen.err else [key]
        elif seen == without:
            ignored.append(key)
        else:
            changed.append(key)
    assert not ignored
    assert {key for key in changed if key.startswith(("model.", "service."))} == set()
    assert name == "mcp" or changed


def _refused(seen: Seen) -> bool:
    return seen.code == 2 and not seen.calls


@pytest.mark.parametrize("name", [name for name in TYPED if not name.startswith("adapters")])
def test_a_store_in_process_has_no_use_for_the_flags_of_a_server(
    name: str, run: Run, tmp_path: Path
) -> None:
    typed_command = (*name.split(), *TYPED[name])
    for option in options_of(CLIENTS[name]):
        if option.name in ("ca", "token_file", "collection"):
            arguments = typed(option, tmp_path)
            run(*typed_command, "--index", tmp_path, *arguments).fails(2, arguments[0], "--server")
    both = ("--index", tmp_path, "--server", "unix:none")
    run(*typed_command, *both).fails(2, "--server and --index name two places to ask")
    if name == "mcp":
        run(*typed_command, tmp_path, *both[:2]).fails(2, "TARGET and --index")


def test_a_typed_store_is_asked_before_the_server_of_the_environment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERTRAG_SERVER", f"unix:{tmp_path}/none")
    run("retrieve", "roses", "--index", tmp_path).fails(4, str(tmp_path))


def test_one_of_several_flags_needs_another(run: Run) -> None:
    run("ask", "x", "--set", "request.logprobs=1").fails(2, "request.logprobs needs --json")
    run("ask", "x", "--set", "lab.beta=1").fails(2, "lab.beta needs lab.contrast")
    weak = ("--set", "lab.contrast=base", "--set", "lab.weak_routing=top_k:1")
    run("ask", "x", *weak).fails(2, "needs lab.contrast=routing")
    embedder = ("--set", "model.embedder=x")
    run("index", "verify", "none", *embedder).fails(2, "--set model.embedder needs --deep")
    run("health", "unix:none", "--server-name", "x").fails(2, "--server-name needs --ca")
