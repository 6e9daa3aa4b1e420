"""The table of an answer as text: its cells, what it adds to the answer, how complete it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag.api.tables import AnswerTable, Coverage
from expertrag_retriever.types import Scalar

_MARKUP = re.compile(r"[\\`*_\[\]<>|~]")
_SELECT = re.compile(r"\s*(?:select|with)\b", re.IGNORECASE)
_DIGITS = 12
"""Significant digits of a number; sums of decimal fractions have noise behind them."""


def cell_text(value: Scalar | None) -> str:
    """Return a cell in one line; "" for none."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.{_DIGITS}g}"
        case _:
            return " ".join(str(value).split())


def adds_to(table: AnswerTable | None, text: str) -> bool:
    """Whether a table says more than the text of its answer: a value that the text lacks."""
    if table is None or (len(table.rows) <= 1 and len(table.columns) <= 1):
        return False
    cells = {cell_text(value) for row in table.rows for value in row}
    return not all(_stands_in(cell, text) for cell in cells if cell)


def _stands_in(cell: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(cell)}(?!\w)", text) is not None


def markdown_of(table: AnswerTable, most_rows: int) -> str:
    """Return a table in Markdown; what a cell holds of Markdown and HTML is shown, not obeyed.

    :param most_rows: rows that are shown; a line below says how many more there are.
    """
    return "\n".join(_markdown_lines(table, most_rows))


def _markdown_lines(table: AnswerTable, most_rows: int) -> Iterator[str]:
    yield _markdown_row(list(table.columns))
    yield f"|{' --- |' * len(table.columns)}"
    for row in table.rows[:most_rows]:
        yield _markdown_row([cell_text(value) for value in row])
    if (more := len(table.rows) - most_rows) > 0:
        yield f"\n… {more:,} more"


def _markdown_row(cells: list[str]) -> str:
    return f"| {' | '.join(_MARKUP.sub(_escape, cell_text(cell)) for cell in cells)} |"


def _escape(sign: re.Match[str]) -> str:
    return f"\\{sign[0]}"


def coverage_text(coverage: Coverage, query: str = "") -> str:
    """Return in a sentence what was searched, and whether it is complete.

    :param query: how the rows were selected; SQL selects rows, anything else documents.
    """
    what = "rows" if _SELECT.match(query) else "documents"
    searched = max(coverage.searched - coverage.left_out, 0)
    counts = f"{searched:,} of {coverage.searched:,} {what} searched"
    if coverage.complete:
        return f"{counts}, complete"
    reason = f": {coverage.reason}" if coverage.reason else ""
    if coverage.complete is None:
        return f"{counts}; not sure that this is complete{reason}"
    return f"{counts}; this is not complete{reason}"
