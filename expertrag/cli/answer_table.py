"""The table of an answer on stdout, and how far its documents are read on stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from expertrag.api.events import AnswerEvent, ProgressEvent
from expertrag.api.table_text import adds_to, cell_text
from expertrag.api.tables import AnswerTable
from expertrag.api.types import Answer
from expertrag.cli.output import one_line
from expertrag.cli.progress import progress

if TYPE_CHECKING:
    from expertrag_index.types import Progress

SHOWN_ROWS = 20
CELL_CHARACTERS = 60


def table_lines(answer: Answer) -> Iterator[str]:
    """Yield the table of an answer below an empty line, unless its text says all of it."""
    if answer.table is not None and adds_to(answer.table, answer.text):
        yield ""
        yield from _lines(answer.table)


def _lines(table: AnswerTable) -> Iterator[str]:
    """Yield the header and the first rows in columns; numbers are aligned at the right."""
    shown = table.rows[:SHOWN_ROWS]
    rows = [[_fit(cell_text(value)) for value in row] for row in shown]
    header = [_fit(name) for name in table.columns]
    widths = [max(map(len, cells)) for cells in zip(header, *rows, strict=True)]
    numeric = [all(map(_is_number, values)) for values in zip(*shown, strict=True)]
    for cells in (header, ["-" * width for width in widths], *rows):
        yield _row(cells, widths, numeric or [False] * len(widths))
    if more := len(table.rows) - len(shown):
        yield f"… {more:,} more; --json has all"


def _row(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    columns = zip(cells, widths, numeric, strict=True)
    aligned = [cell.rjust(width) if right else cell.ljust(width) for cell, width, right in columns]
    return "  ".join(aligned).rstrip()


def _fit(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= CELL_CHARACTERS else f"{line[: CELL_CHARACTERS - 1]}…"


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


class ReadingProgress:
    """Shows how far the documents of an answer are read; any other event ends it."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._report: Progress | None = None

    def show(self, event: AnswerEvent) -> None:
        """Take the next event of the answer."""
        if not isinstance(event, ProgressEvent):
            self.close()
            return
        if self._report is None:
            self._report = self._open.enter_context(progress())
        self._report("reading documents", event.done, event.total)

    def close(self) -> None:
        """End the bar, if there is one."""
        self._open.close()
        self._report = None
