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
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, "it is listed"
            yield from _leaves(child, (*path, name))
    else:
        yield " ".join(path), command
