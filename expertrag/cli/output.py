"""What commands print: results on stdout, notes on stderr."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from expertrag.api.jsonable import to_json
from expertrag.api.types import Passage
from expertrag.cli.exits import ExitCode

if TYPE_CHECKING:
    from expertrag_index.types import LoadFailure

SHOWN_FAILURES = 20
SNIPPET_CHARACTERS = 240
_DATES = ("effective", "date", "modified", "updated")
"""Metadata fields with the date of a document, the most telling first."""
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def emit_json(value: Any) -> None:
    """Print one JSON value on stdout."""
    click.echo(json.dumps(to_json(value), ensure_ascii=False, indent=2))


def print_found(result: Any, as_json: bool, lines: Iterable[str]) -> None:
    """Print a result: as JSON, or as ``lines``, which are made only then."""
    if as_json:
        emit_json(result)
        return
    for line in lines:
        click.echo(line)


def note(message: str) -> None:
    """Print a line on stderr."""
    click.echo(message, err=True)


def without_colour() -> bool:
    """Whether a terminal should get no colours: NO_COLOR is set, or it has none."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def note_failures(failures: Sequence[LoadFailure]) -> None:
    """Print why documents were skipped: one line each for the first 20, then the count.

    Notices, which are not losses, come last.
    """
    for failure in sorted(failures, key=lambda each: each.notice)[:SHOWN_FAILURES]:
        what = "note" if failure.notice else "skipped"
        note(printable(f"{what} {failure.source}: {failure.reason}; {failure.cure}"))
    if len(failures) > SHOWN_FAILURES:
        note(f"… and {len(failures) - SHOWN_FAILURES} more (--json lists all)")
    if lost := sum(not failure.notice for failure in failures):
        note(f"{lost} skipped")


def exit_if_skipped(failures: Sequence[LoadFailure]) -> None:
    """Exit with 3 if documents were skipped, not only remarked on."""
    if not all(failure.notice for failure in failures):
        click.get_current_context().exit(ExitCode.PARTIAL)


def size(size_bytes: int) -> str:
    """Format a size in bytes: ``1.5 MiB``."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    amount = size_bytes / 1024
    for unit in ("KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def format_count(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 prompt``, ``2,000 prompts``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def printable(text: str) -> str:
    """Remove control characters, so that a document cannot control the terminal."""
    return text.translate(_CONTROLS)


def passage_lines(passages: Sequence[Passage]) -> Iterator[str]:
    """Yield lines on passages: rank, score, provenance and the start of the text."""
    for rank, passage in enumerate(passages, 1):
        yield (
            f"{rank}. {passage.score:.3f}  {origin_of(passage, passage.page)}  "
            f"characters {passage.start}-{passage.end}"
        )
        yield f"   {snippet(passage.text)}"
    if not passages:
        yield "nothing found"


def origin_of(passage: Passage, page: int | None) -> str:
    """Return title, source and document id, without duplicates, and the page."""
    parts = dict.fromkeys(filter(None, (passage.title, passage.source, passage.document_id)))
    where = "" if page is None else f", page {page}"
    return printable(" | ".join(parts)).replace("\n", " ") + where


def source_of(passage: Passage, page: int | None) -> str:
    """Return the title, file, page and date of a passage."""
    file = passage.source.rpartition("/")[2]
    name = passage.document_id if not file or file in passage.document_id else file
    where = dict.fromkeys(filter(None, (passage.title, name)))
    dates = [str(passage.metadata[key])[:10] for key in _DATES if passage.metadata.get(key)]
    return printable(", ".join([*where, *([f"page {page}"] if page else []), *dates[:1]]))


def snippet(text: str) -> str:
    """Return the beginning of a text, in one line."""
    line = one_line(text)
    return f"{line[:SNIPPET_CHARACTERS]}{'…' * (len(line) > SNIPPET_CHARACTERS)}"


def one_line(text: str) -> str:
    """Return a text in one line, without control characters."""
    return " ".join(printable(text).split())
