"""Options that several commands of the lab share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import click

from expertrag.cli.options import Command, check_creatable, flag


def seed_flag(env: str, help: str) -> Callable[[Command], Command]:
    """Return the option of a random seed."""
    return flag("--seed", env=env, type=click.IntRange(min=0), default=0, help=help)


def not_nan(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Refuse NaN as the value of an option, which ``click.FloatRange`` lets through."""
    if math.isnan(value):
        raise click.BadParameter("nan is not a number")
    return value


def creatable(
    _context: click.Context, parameter: click.Parameter, path: Path | None
) -> Path | None:
    """Check, before any work, that the file or folder of an option can be created.

    :raises InvalidArgument: the nearest existing path above it is not a folder, or not writable.
    """
    if path is not None:
        check_creatable(path, parameter.opts[-1])
    return path
