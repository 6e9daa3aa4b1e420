"""Flags that hold an answer to a form."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from expertrag.api.types import Constraint
from expertrag.api.validation import schema_from_text
from expertrag.cli.options import flag


def _read(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise click.BadParameter(f"{path} is not a text in UTF-8") from None


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    flag("--regex", help="The whole answer matches this regular expression (Rust's syntax)."),
    flag(
        "--json-schema",
        type=_FILE,
        callback=_read,
        metavar="FILE",
        help="The answer is JSON that obeys the JSON Schema in FILE.",
    ),
    flag(
        "choices",
        "--choice",
        multiple=True,
        help="The answer is this text; repeat it for each text to choose from.",
    ),
    flag(
        "--grammar",
        type=_FILE,
        callback=_read,
        metavar="FILE",
        help="The answer obeys the grammar in FILE (Lark's syntax, from the rule `start`).",
    ),
)


def constrained(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags, and the ``constraint`` that they make; None without any."""

    @functools.wraps(command)
    def run(
        regex: str | None,
        json_schema: str | None,
        choices: tuple[str, ...],
        grammar: str | None,
        **rest: Any,
    ) -> Any:
        schema = None if json_schema is None else schema_from_text(json_schema)
        constraint = Constraint(regex, schema, choices or None, grammar)
        return command(constraint=None if constraint == Constraint() else constraint, **rest)

    wrapped: Callable[..., Any] = run
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
