"""``--set SECTION.KEY=VALUE``: its precedence, and what it refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from command_line import Run
from command_tree import leaf_commands

from expertrag.cli.assignments import ASSIGNED


def test_it_ranks_with_flags(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[model]\nreuse_mib = 1\n[service]\nreflection = true\n", encoding="utf-8")
    monkeypatch.setenv("EXPERTRAG_MODEL_REUSE_MIB", "2")
    given = ("--set", "model.reuse_mib=3", "--set", "service.reflection=no")
    ran = run("serve", "--config", file, *given, "--print-config").ok()
    values = tomllib.loads(ran.out)
    assert (values["model"]["reuse_mib"], values["service"]["reflection"]) == (3, False)
    assert "reuse_mib = 3  # flag --set model.reuse_mib" in ran.out


def test_a_value_may_hold_an_equals_sign(run: Run) -> None:
    ran = run("ask", "?", "--set", "model.adapters=legal=folder", "--print-config").ok()
    assert tomllib.loads(ran.out)["model"]["adapters"] == "legal=folder"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "gate.threshold=1.5"), "gate.threshold: is 1.5; choose 0 to 1"),
        (("--set", "search.k=0"), "(from flag --set search.k)"),
        (("--set", "search.k=x"), "search.k: is 'x'; give a whole number"),
        (("--set", "k=3"), "'k=3' is not SECTION.KEY=VALUE"),
        (("--set", "search.k"), "'search.k' is not SECTION.KEY=VALUE"),
        (("--set", "search.kk=3"), "search.kk: unknown key; did you mean search.k?"),
        (("--set", "model.routing=top_k:1"), "it is now lab.routing"),
        (("--set", "tls.cert=x"), "--set tls.cert: no effect on `expertrag ask`"),
        (("-k", "1", "--set", "search.k=3"), "search.k is set twice"),
        (("--set", "search.k=1", "--set", "search.k=1"), "search.k is set twice"),
    ],
)
def test_what_it_refuses_ends_with_2(run: Run, arguments: tuple[str, ...], message: str) -> None:
    run("ask", "?", *arguments).fails(2, message)


def test_a_server_decides_its_own_settings(run: Run) -> None:
    given = ("--server", "unix:none", "--generator", "x", "--set", "model.reader=none")
    run("ask", "?", *given).fails(
        2, "--generator, --set model.reader: no effect on a server, which decides it for all"
    )


def test_the_environment_of_a_shell_is_not_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPERTRAG_MODEL_GENERATOR", "x")
    run("ask", "?", "--server", "unix:none", "--timeout", "1").fails(7)


def test_commands_that_open_a_store_have_it() -> None:
    with_it = {
        name
        for name, command in leaf_commands().items()
        if any(parameter.name == ASSIGNED for parameter in command.params)
    }
    assert {"ask", "chat", "gate explain", "mcp", "retrieve", "serve"} <= with_it
    assert {"index add", "index build", "index search", "index sync", "index watch"} <= with_it
    assert not with_it & {"health", "tokens create", "adapters list"}
