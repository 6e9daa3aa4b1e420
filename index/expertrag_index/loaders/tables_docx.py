"""Tells which rows of a Word table are its header: by their mark, or by how they look."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from expertrag_index.loaders.columns import SAMPLE
from expertrag_index.loaders.hidden_docx import styles_of_run
from expertrag_index.loaders.ooxml import qn
from expertrag_index.loaders.styles_docx import DocxStyles

_LOOK, _STYLE = f"{qn('w:tblPr')}/{qn('w:tblLook')}", f"{qn('w:tblPr')}/{qn('w:tblStyle')}"
_HEADER, _SHADE = f"{qn('w:trPr')}/{qn('w:tblHeader')}", f"{qn('w:tcPr')}/{qn('w:shd')}"
_BOLD, _PART = f"{qn('w:rPr')}/{qn('w:b')}", qn("w:tblStylePr")
_RUN, _TEXT, _CELL = qn("w:r"), qn("w:t"), qn("w:tc")
_VALUE, _FILL, _FIRST = qn("w:val"), qn("w:fill"), qn("w:firstRow")
_FIRST_ROW = 0x20
_OFF = ("0", "false", "off")
_NO_FILLS = (None, "", "auto", "FFFFFF")


def count_header_rows(table: Any, rows: Sequence[Any], styles: DocxStyles) -> int | None:
    """Return how many rows are marked as a header; None if nothing tells.

    The style of a table may set its first row apart. Programs choose that by default, so it tells
    nothing of two columns, which may be names and their values.
    """
    count = sum(1 for _ in takewhile(lambda row: _is_on(row.find(_HEADER)), rows))
    if count:
        return count
    look, style = table.find(_LOOK), table.find(_STYLE)
    if look is None or style is None or not rows or len(list(rows[0].iter(_CELL))) < 3:
        return None
    first = look.get(_FIRST)
    bits = _hexadecimal(look.get(_VALUE, "")) & _FIRST_ROW
    shows = bits > 0 if first is None else first not in _OFF
    parts = (part for each in styles.chain(style.get(_VALUE, "")) for part in each.iter(_PART))
    return 1 if shows and any(part.get(qn("w:type")) == "firstRow" for part in parts) else None


def rows_apart(rows: Sequence[Any], styles: DocxStyles) -> list[int]:
    """Return the numbers of the rows that are bold or shaded."""
    return [at for at, row in enumerate(rows[:SAMPLE]) if _is_apart(row, styles)]


def _is_apart(row: Any, styles: DocxStyles) -> bool:
    if {_is_bold(run, styles) for run in row.iter(_RUN) if _has_text(run)} == {True}:
        return True
    return {_fill(cell) for cell in row.iter(_CELL)}.isdisjoint(_NO_FILLS)


def _is_on(mark: Any) -> bool:
    return mark is not None and mark.get(_VALUE) not in _OFF


def _has_text(run: Any) -> bool:
    return any((each.text or "").strip() for each in run.iter(_TEXT))


def _is_bold(run: Any, styles: DocxStyles) -> bool:
    marks = (each.find(_BOLD) for each in (run, *styles_of_run(run, styles)))
    return next((_is_on(mark) for mark in marks if mark is not None), False)


def _fill(cell: Any) -> str | None:
    shade = cell.find(_SHADE)
    return None if shade is None else shade.get(_FILL)


def _hexadecimal(digits: str) -> int:
    try:
        return int(digits, 16)
    except ValueError:
        return 0
