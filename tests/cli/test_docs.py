"""The generated page of the commands: complete, and without repetition."""

from __future__ import annotations

import re

import click

from expertrag.cli import docs
from expertrag.cli.main import cli

SECTION = re.compile(r"^## (expertrag[^\n]*)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def _command(path: str) -> click.Command:
    command: click.Command = cli
    for name in path.split()[1:]:
        assert isinstance(command, click.Group)
        child = command.get_command(click.Context(command), name)
        assert child is not None
        command = child
    return command


def test_each_command_shows_or_names_its_options() -> None:
    page = docs.pages()["cli.md"]
    sections = SECTION.findall(page)
    assert len(sections) > 40
    for path, text in sections:
        named = text.rpartition("Shared options:")[2].split()
        for option in _command(path).params:
            if isinstance(option, click.Option) and not option.hidden:
                shown = re.search(rf"^ .*{re.escape(option.opts[-1])}\b", text, re.MULTILINE)
                assert shown or option.opts[-1] in named, (path, option.opts)


def test_a_shared_option_is_described_once() -> None:
    page = docs.pages()["cli.md"]
    shared = page.partition("## Shared options")[2].partition("## expertrag")[0]
    names = re.findall(r"^  (?:-\w, )?(-[\w-]+)", shared, re.MULTILINE)
    assert {"--config", "--json", "--server"} <= {*names}
    for text in ("Print JSON on stdout.", "Show this message and exit."):
        assert page.count(text) == 1
