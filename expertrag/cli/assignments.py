"""``--set SECTION.KEY=VALUE``: any setting that a command uses, without a flag of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import click

from expertrag.config import setting_called

Command = Callable[..., Any]
ASSIGNED = "assigned"
"""Name of the option in a context; its value is a dictionary of texts by key."""


def set_option(*settable: str) -> Callable[[Command], Command]:
    """Return ``--set``, which a command gets as a dictionary of texts by key.

    It has no variable: every setting has one of its own.

    :param settable: keys and sections of the settings that the command uses; others are refused.
    """

    def parse(
        context: click.Context, _parameter: click.Parameter, items: tuple[str, ...]
    ) -> dict[str, str]:
        assigned: dict[str, str] = {}
        for item in items:
            key, text = _split(item)
            setting = setting_called(key)
            if key not in settable and setting.section not in settable:
                raise click.UsageError(
                    f"--set {key}: no effect on `{context.command_path}`, which does not use it; "
                    "leave it out"
                )
            refuse_twice(assigned, (key,))
            assigned[key] = text
        return assigned

    return click.option(
        ASSIGNED,
        "--set",
        multiple=True,
        metavar="SECTION.KEY=VALUE",
        callback=parse,
        help="Any other setting of docs/reference/config.md, repeatable: --set model.dtype=int8.",
    )


def refuse_twice(typed: Collection[str], assigned: Collection[str]) -> None:
    """Raise for a setting that has two values on the command line.

    :raises click.UsageError: names the first one.
    """
    for key in assigned:
        if key in typed:
            raise click.UsageError(f"{key} is set twice; keep one")


def _split(item: str) -> tuple[str, str]:
    key, equals, text = item.partition("=")
    if not (equals and "." in key):
        raise click.BadParameter(f"{item!r} is not SECTION.KEY=VALUE, such as search.k=3")
    return key.strip(), text
