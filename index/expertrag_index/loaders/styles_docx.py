"""Tells headings and list items of a Word file by their styles, as Word's outline does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docx.oxml.ns import qn

_NAME = re.compile(r"(?:heading (\d)|title)$", re.IGNORECASE)
_VALUE = qn("w:val")
_STYLE = f"{qn('w:pPr')}/{qn('w:pStyle')}"
_OUTLINE = f"{qn('w:pPr')}/{qn('w:outlineLvl')}"
_NUMBERING = f"{qn('w:pPr')}/{qn('w:numPr')}/{qn('w:numId')}"
_BODY_TEXT = 9
"""The outline level of what is no heading."""


class DocxStyles:
    """The styles of a Word file; one that is based on a heading's is a heading's."""

    def __init__(self, word: Any) -> None:
        self._elements = {
            style.get(qn("w:styleId")): style for style in word.styles.element.iter(qn("w:style"))
        }
        self._levels: dict[str, int] = {}

    def level(self, paragraph: Any) -> int:
        """Return the level of a heading, from 1; 0 for any other paragraph."""
        own = _outline(paragraph)
        if own is not None:
            return own
        name = _style_of(paragraph)
        if name not in self._levels:
            levels = (self._own_level(style) for style in self._chain(name))
            self._levels[name] = next((level for level in levels if level is not None), 0)
        return self._levels[name]

    def is_list(self, paragraph: Any) -> bool:
        """Whether a paragraph is an item of a list, by itself or by its style."""
        number = paragraph.find(_NUMBERING)
        if number is not None:
            return bool(number.get(_VALUE) != "0")
        return any(_name(style).startswith("list") for style in self._chain(_style_of(paragraph)))

    def _own_level(self, style: Any) -> int | None:
        if named := _NAME.fullmatch(_name(style)):
            return int(named[1] or 1)
        return _outline(style)

    def _chain(self, name: str) -> Iterator[Any]:
        """Yield a style and those that it is based on."""
        seen = set()
        while name in self._elements and name not in seen:
            seen.add(name)
            yield self._elements[name]
            based = self._elements[name].find(qn("w:basedOn"))
            name = based.get(_VALUE) if based is not None else ""


def _outline(element: Any) -> int | None:
    mark = element.find(_OUTLINE)
    value = mark.get(_VALUE) if mark is not None else None
    if value is None or not value.isdecimal():
        return None
    return int(value) + 1 if int(value) < _BODY_TEXT else 0


def _style_of(paragraph: Any) -> str:
    style = paragraph.find(_STYLE)
    return (style.get(_VALUE) or "") if style is not None else ""


def _name(style: Any) -> str:
    name = style.find(qn("w:name"))
    return (name.get(_VALUE) or "").lower() if name is not None else ""
