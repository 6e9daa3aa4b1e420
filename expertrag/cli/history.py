"""The conversation of a question, from a file of JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

import click

from expertrag.api.errors import InvalidArgument
from expertrag.api.turns import Turn, turns_of

EXAMPLE = '{"role": "user", "text": "What is WAL?"}'


def read_history(path: Path) -> tuple[Turn, ...]:
    """Return the turns of a file, oldest first.

    :raises InvalidArgument: the file cannot be read, or a line is not a turn; names the line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"the history {path} cannot be read ({error})") from None
    return tuple(_turn(path, number, line) for number, line in enumerate(lines, 1) if line.strip())


def _turn(path: Path, number: int, line: str) -> Turn:
    try:
        (turn,) = turns_of([json.loads(line)])
        return turn
    except (ValueError, InvalidArgument):
        raise InvalidArgument(
            f"line {number} of the history {path} is not a turn; write {EXAMPLE}, with the role "
            "user or assistant"
        ) from None


def history_of_option(
    _context: click.Context, _parameter: click.Parameter, path: Path | None
) -> tuple[Turn, ...]:
    """Return the turns of the file that an option names; none without it."""
    return () if path is None else read_history(path)
