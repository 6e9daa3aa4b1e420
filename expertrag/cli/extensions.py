"""Groups of commands to which other distributions add commands, by entry points.

The module of an added command is loaded when the command is used, or when help lists it.
"""

from __future__ import annotations

from typing import Any

import click

from expertrag.runtime.extensions import COMMANDS, load_extension, names_of
from expertrag_common.extras import lab_command

LAB_COMMANDS = frozenset(
    [
        "eval",
        "gate.annotate",
        "gate.calibrate",
        "gate.refit",
        "llm.attach",
        "llm.compress",
        "llm.export",
        "llm.merge",
        "llm.profile",
        "llm.prune",
        "llm.select",
        "llm.show",
        "llm.split",
        "llm.upcycle",
        "llm.verify",
        "router",
        "train",
    ]
)
"""Commands of the lab, by path; without it, each says what to install."""


class ExtensibleGroup(click.Group):
    """A group with its own commands and those that other distributions add."""

    def __init__(self, *arguments: Any, extensions: str = "", **options: Any) -> None:
        """Create a group.

        :param extensions: path of the group, joined by dots; "" is the root.
        """
        super().__init__(*arguments, **options)
        self._prefix = f"{extensions}." if extensions else ""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        names = [name.removeprefix(self._prefix) for name in names_of(COMMANDS) if self._has(name)]
        return sorted({*super().list_commands(ctx), *names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name.

        :raises click.UsageError: the command is one of the lab, which is not installed.
        """
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        path = f"{self._prefix}{cmd_name}"
        command: click.Command | None = load_extension(COMMANDS, path)
        if command is None and path in LAB_COMMANDS:
            name = path.replace(".", " ")
            raise click.UsageError(
                f"`expertrag {name}` is a command of the lab; run: {lab_command()}"
            )
        return command

    def _has(self, path: str) -> bool:
        return path.startswith(self._prefix) and "." not in path.removeprefix(self._prefix)
