"""Extracts the text of PDF pages without what is not drawn (text rendering mode 3).

OCR puts the text of a scan behind its picture in the same mode, so on a page that is mostly a
picture this text is kept.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from pypdf import PageObject
from pypdf.generic import ArrayObject, DictionaryObject, StreamObject, TextStringObject

_UNDRAWN = 3
_SETS_MODE = re.compile(rb"\b3\s+Tr\b")
_SHARE_OF_SCAN = 0.5
_STRING_AT = {b"Tj": 0, b"TJ": 0, b"'": 0, b'"': 2}


def page_text(page: PageObject, hidden: Counter[str]) -> str:
    """Return the text of a page, and count texts that are left out."""
    if not _may_hide(page):
        return page.extract_text()
    seen = _Watch(page)
    text = page.extract_text(visitor_operand_before=seen.before)
    area = float(page.mediabox.width) * float(page.mediabox.height)
    if not seen.undrawn or seen.largest_picture >= _SHARE_OF_SCAN * area:
        return text
    hidden["not drawn"] += seen.undrawn
    return page.extract_text(visitor_operand_before=_Watch(page, erase=True).before)


def _may_hide(page: PageObject) -> bool:
    """Whether the page or a form on it sets the mode at all; most pages are read as ever."""
    content = page.get_contents()
    parts = [content, *(item for item in _objects(page).values() if _is_form(item))]
    return any(part is not None and _SETS_MODE.search(part.get_data()) for part in parts)


def _objects(page: PageObject) -> dict[str, Any]:
    named = _entry(_entry(page, "/Resources"), "/XObject")
    if not isinstance(named, DictionaryObject):
        return {}
    return {name: _entry(named, name) for name in named}


def _entry(owner: Any, name: str) -> Any:
    found = owner.get(name) if isinstance(owner, DictionaryObject) else None
    return found.get_object() if found is not None else None


def _is_form(item: Any) -> bool:
    return isinstance(item, StreamObject) and item.get("/Subtype") == "/Form"


class _Watch:
    """Follows the operators of a page: its rendering mode, pictures and texts that are not drawn.

    :param erase: empty these texts before they are extracted.
    """

    def __init__(self, page: PageObject, *, erase: bool = False) -> None:
        self._objects = _objects(page)
        self._erase = erase
        self._mode = 0
        self._saved: list[int] = []
        self.undrawn = 0
        self.largest_picture = 0.0
        """Area in square points."""

    def before(self, operator: bytes, operands: Any, matrix: Any, _: Any) -> None:
        """Take note of an operator that is about to be carried out."""
        if operator == b"q":
            self._saved.append(self._mode)
        elif operator == b"Q" and self._saved:
            self._mode = self._saved.pop()
        elif operator == b"Tr" and operands:
            self._mode = int(operands[0])
        elif operator == b"INLINE IMAGE" or (
            operator == b"Do" and not _is_form(self._objects.get(operands[0]))
        ):
            area = abs(matrix[0] * matrix[3] - matrix[1] * matrix[2])
            self.largest_picture = max(self.largest_picture, float(area))
        elif self._mode == _UNDRAWN and operator in _STRING_AT:
            self._leave_out(operator, operands)

    def _leave_out(self, operator: bytes, operands: Any) -> None:
        self.undrawn += 1
        at = _STRING_AT[operator]
        if self._erase and len(operands) > at:
            operands[at] = ArrayObject() if operator == b"TJ" else TextStringObject("")
