"""Shell completion: the scripts, and what they offer, in a real shell where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Ran, Run
from serving_fixtures import StartServer
from terminal_helper import Terminal

from expertrag.cli.completion import VARIABLE

SHELLS = ("bash", "zsh", "fish")
HEAVY = ("torch", "numpy", "faiss", "transformers", "grpc", "google.protobuf", "tqdm", "sqlite3")


Offered = Callable[..., list[str]]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_variable_of_click_prints_the_script(
    run: Run, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    by_command = run("completion", shell).ok()
    monkeypatch.setenv(VARIABLE, f"{shell}_source")
    ran = run()
    assert ran == by_command
    assert f"{VARIABLE}={shell}_complete" in ran.out
    assert ran.err == ""  # the line that says where it goes is for a terminal


def test_a_terminal_is_told_where_the_script_goes() -> None:
    with Terminal("completion", "fish") as terminal:
        terminal.shows("complete --no-files --command expertrag")
        terminal.shows("To use it, run: expertrag completion fish > ~/.config/fish/completions/")
        assert terminal.ends() == 0


def test_unknown_shells(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("completion", "csh").fails(2, "'csh' is not one of 'bash', 'zsh', 'fish'")
    monkeypatch.setenv(VARIABLE, "csh_source")
    run().fails(2, VARIABLE, "bash_source")


@pytest.fixture
def offered(run: Run, monkeypatch: pytest.MonkeyPatch) -> Offered:
    """Returns what is offered for the last of some words, as the script of zsh is told it."""

    def complete(*words: str | Path) -> list[str]:
        with monkeypatch.context() as patch:
            patch.setenv(VARIABLE, "zsh_complete")
            patch.setenv("COMP_WORDS", " ".join(["expertrag", *map(str, words)]))
            patch.setenv("COMP_CWORD", str(len(words)))
            told = run().ok()
        assert told.err == ""
        lines = told.out.strip().splitlines()  # kind, value and help of each
        kinds, values = lines[::3], lines[1::3]
        return [
            value if kind == "plain" else f"<{kind}>"
            for kind, value in zip(kinds, values, strict=True)
        ]

    return complete


def test_commands_options_and_choices(offered: Offered) -> None:
    assert offered("re") == ["retrieve"]
    assert offered("index", "ver") == ["verify"]
    assert offered("ask", "--mod") == ["--mode"]
    assert offered("ask", "--mode", "s") == ["strict"]
    assert offered("completion", "z") == ["zsh"]


def test_files_and_models(offered: Offered) -> None:
    assert offered("ask", "--index", "my") == ["<dir>"]
    assert offered("index", "verify", "my") == ["<file>"]
    assert offered("serve", "--tls-key", "my") == ["<file>"]
    assert offered("serve", "--generator", "smol") == [
        "<file>", "smollm2-135m-instruct-moe", "smollm2-135m-reader",
    ]  # fmt: skip
    assert offered("serve", "--embedder", "minilm") == ["<file>", "minilm-domains"]
    assert offered("serve", "--gate-bundle", "qwen") == ["<file>", "qwen-gate"]
    assert offered("models", "pull", "all-") == ["all-minilm-l6-v2"]


def test_collections_of_a_running_server(offered: Offered, start_server: StartServer) -> None:
    ask = ("ask", "--server", start_server().address, "--collection")
    assert offered(*ask, "d") == ["default"]
    assert offered(*ask, "x") == []


def test_without_a_server_no_collection_is_offered(offered: Offered, tmp_path: Path) -> None:
    assert offered("ask", "--server", f"unix:{tmp_path}/s", "--collection", "d") == []
    assert offered("ask", "--index", tmp_path, "--collection", "d") == []


def test_completion_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['expertrag']\n"
        "from expertrag.cli.main import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    asked = {
        VARIABLE: "bash_complete",
        "COMP_WORDS": "expertrag serve --generator smollm2-135m-r",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"
    assert done.stdout.splitlines() == ["file,smollm2-135m-r", "plain,smollm2-135m-reader"]


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize("words", [("--mode", "al"), ("--mode", "=", "al")])
def test_bash_completes(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    """The script works in the shell itself, for a command that is called by its path."""
    command = tmp_path / "expertrag"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m expertrag "$@"\n')
    command.chmod(0o755)
    script = run("completion", "bash").ok().out
    typed = (
        f"{script}\ncompopt() {{ :; }}\n"  # which is for the shell's own prompt
        f'COMP_WORDS=("{command}" ask {" ".join(words)}); COMP_CWORD={1 + len(words)}\n'
        f'_expertrag_completion "{command}"; echo "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=True)
    assert Ran(0, done.stdout, done.stderr) == Ran(0, "always\n", "")
