"""Flags that constrain the text of an answer."""

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
        raise click.BadParameter(f"{path} is not UTF-8 text") from None


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    flag("--regex", help="Regular expression that the whole answer must match (Rust syntax)."),
    flag(
        "--json-schema",
        type=_FILE,
        callback=_read,
        metavar="FILE",
        help="File with a JSON Schema; the answer is JSON that conforms to it.",
    ),
    flag(
        "choices",
        "--choice",
        multiple=True,
        help="Allowed answer; repeat the flag for each alternative.",
    ),
    flag(
        "--grammar",
        type=_FILE,
        callback=_read,
        metavar="FILE",
        help="File with a grammar that the answer must match (Lark syntax, start rule `start`).",
    ),
)


def with_constraint(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to a command, and pass it their ``constraint``; None without any flag."""

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
