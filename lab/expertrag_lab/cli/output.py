"""Prints what the commands of the lab made."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from expertrag.cli.output import print_found


def print_made(made: Any, out: Path, as_json: bool, lines: Iterable[str]) -> None:
    """Print the report ``made`` of what was written to ``out``: as JSON, or as ``lines``."""
    print_found(made, as_json, itertools.chain(lines, (f"wrote {out}",)))
