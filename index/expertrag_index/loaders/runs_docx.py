"""Writes the text of a paragraph of a Word file in its order, formulas and symbols included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from expertrag_index.loaders.drawings import describe_picture
from expertrag_index.loaders.formulas import FORMULA, formula
from expertrag_index.loaders.ooxml import FALLBACK, number_of, qn
from expertrag_index.loaders.symbols import symbol

BOX = qn("w:txbxContent")
_VALUE = qn("w:val")
LEFT_OUT = frozenset((BOX, FALLBACK, *map(qn, ("w:del", "w:moveFrom", "w:pPr", "w:rPr"))))
"""Tracked deletions, text boxes (which follow their paragraph), their old form, and properties."""


def run_texts(element: Any) -> Iterator[str]:
    """Yield the text of runs, also those in links, fields and tracked insertions."""
    stack = [iter(element)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
        elif child.tag in _WRITTEN:
            yield _WRITTEN[child.tag](child)
        elif child.tag not in LEFT_OUT:
            stack.append(iter(child))


def _symbol(element: Any) -> str:
    try:
        return symbol(element.get(qn("w:font"), ""), int(element.get(qn("w:char"), ""), 16))
    except ValueError:
        return ""


def _choice(element: Any) -> str:
    """Return the entry that a drop-down field shows."""
    entries = [each.get(_VALUE, "") for each in element.iter(qn("w:listEntry"))]
    chosen = element.find(qn("w:result"))
    at = number_of(chosen.get(_VALUE)) if chosen is not None else 0
    return entries[at] if 0 <= at < len(entries) else ""


def _box(element: Any) -> str:
    """Return the sign of a check box of a form."""
    state = element.find(qn("w:checked"))
    state = element.find(qn("w:default")) if state is None else state
    return "☒" if state is not None and state.get(_VALUE) not in ("0", "false", "off") else "☐"


def _of(text: str) -> Callable[[Any], str]:
    return lambda _: text


_WRITTEN: dict[str, Callable[[Any], str]] = {
    qn("w:t"): lambda element: element.text or "",
    qn("w:tab"): _of("\t"),
    qn("w:ptab"): _of("\t"),
    qn("w:br"): _of("\n"),
    qn("w:cr"): _of("\n"),
    qn("w:noBreakHyphen"): _of("-"),
    qn("w:sym"): _symbol,
    qn("w:ddList"): _choice,
    qn("w:checkBox"): _box,
    qn("wp:docPr"): describe_picture,
    qn("v:textpath"): lambda element: element.get("string", ""),
    FORMULA: formula,
}
