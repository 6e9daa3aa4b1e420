"""The commands of ``expertrag``, from the tree that ``--help`` shows."""

from __future__ import annotations

from collections.abc import Iterator

import click

from expertrag.cli.main import cli


def leaf_commands() -> dict[str, click.Command]:
    """Return the commands that do something, by what is typed, such as "index build"."""
    return dict(_leaves(cli, ()))


def _leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _leaves(below, (*path, name))
    else:
        yield " ".join(path), command
