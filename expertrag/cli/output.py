"""What commands print: results on stdout, notes on stderr."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from expertrag_index.types import LoadFailure

SHOWN_FAILURES = 20


def to_json(value: Any) -> Any:
    """Turn value objects into what ``json`` writes."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_json(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_json(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def emit_json(value: Any) -> None:
    """Print one JSON value on stdout."""
    click.echo(json.dumps(to_json(value), ensure_ascii=False, indent=2))


def note(message: str) -> None:
    """Print a line on stderr."""
    click.echo(message, err=True)


def note_failures(failures: Sequence[LoadFailure]) -> None:
    """Print why documents were skipped, one a line, the first 20 and a count."""
    for failure in failures[:SHOWN_FAILURES]:
        note(f"skipped {failure.source}: {failure.reason}; {failure.cure}")
    if len(failures) > SHOWN_FAILURES:
        note(f"… and {len(failures) - SHOWN_FAILURES} more (--json lists all)")
    if failures:
        note(f"{len(failures)} skipped")


def size(size_bytes: int) -> str:
    """Write a size for people: ``1.5 MiB``."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    amount = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1024:
            break
    return f"{amount:.1f} {unit}"
