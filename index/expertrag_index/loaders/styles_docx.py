"""Tells headings, list items and hidden text of a Word file by their styles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from expertrag_index.loaders.ooxml import number_of, qn

_NAME = re.compile(r"(?:heading (\d)|title)$", re.IGNORECASE)
_VALUE = qn("w:val")
_STYLE = f"{qn('w:pPr')}/{qn('w:pStyle')}"
_OUTLINE = f"{qn('w:pPr')}/{qn('w:outlineLvl')}"
_NUMBERING = f"{qn('w:pPr')}/{qn('w:numPr')}"
_BODY_TEXT = 9
"""The outline level of what is not a heading."""


class DocxStyles:
    """The styles of a Word file; one that is based on a heading's is a heading's.

    :param root: the part that defines the styles; None if there is none.
    """

    def __init__(self, root: Any) -> None:
        styles = root.iter(qn("w:style")) if root is not None else ()
        self._elements: dict[str, Any] = {style.get(qn("w:styleId"), ""): style for style in styles}
        self._levels: dict[str, int] = {}
        self._lists: dict[str, tuple[str, str, int | None]] = {}

    def level(self, paragraph: Any) -> int:
        """Return the level of a heading, from 1; 0 for any other paragraph."""
        own = _outline(paragraph)
        if own is not None:
            return own
        name = style_of(paragraph)
        if name not in self._levels:
            levels = (self._own_level(style) for style in self.chain(name))
            self._levels[name] = next((level for level in levels if level is not None), 0)
        return self._levels[name]

    def numbering(self, paragraph: Any) -> tuple[str, str, int | None]:
        """Return the id of the list of a paragraph, by itself or by a style; that style; the level.

        The id is empty if the paragraph is in no list; the level is None if nothing tells it.
        """
        name = style_of(paragraph)
        if name not in self._lists:
            styles = [
                (_list_of(style), style.get(qn("w:styleId"), "")) for style in self.chain(name)
            ]
            number, tied = next(((of[0], name) for of, name in styles if of[0]), ("", ""))
            level = next((of[1] for of, _ in styles if of[1] is not None), None)
            self._lists[name] = (number, tied, level)
        number, tied, level = self._lists[name]
        own_number, own_level = _list_of(paragraph)
        return own_number or number, tied, own_level if own_level is not None else level

    def is_named_list(self, paragraph: Any) -> bool:
        """Whether the style of a paragraph is called a list's."""
        return any(_name(style).startswith("list") for style in self.chain(style_of(paragraph)))

    def chain(self, name: str) -> Iterator[Any]:
        """Yield a style and those that it is based on."""
        seen = set()
        while name in self._elements and name not in seen:
            seen.add(name)
            yield self._elements[name]
            based = self._elements[name].find(qn("w:basedOn"))
            name = based.get(_VALUE, "") if based is not None else ""

    @cached_property
    def default(self) -> str:
        """The id of the style of paragraphs that name none."""
        for name, style in self._elements.items():
            is_default = style.get(qn("w:default")) in ("1", "true")
            if is_default and style.get(qn("w:type")) == "paragraph":
                return name
        return ""

    def _own_level(self, style: Any) -> int | None:
        if named := _NAME.fullmatch(_name(style)):
            return int(named[1] or 1)
        return _outline(style)


def style_of(paragraph: Any) -> str:
    """Return the id of the style that a paragraph names; empty if it names none."""
    style = paragraph.find(_STYLE)
    return (style.get(_VALUE) or "") if style is not None else ""


def _list_of(element: Any) -> tuple[str, int | None]:
    """Return the id and the level of a list that a paragraph or a style names itself."""
    mark = element.find(_NUMBERING)
    if mark is None:
        return "", None
    number, level = mark.find(qn("w:numId")), mark.find(qn("w:ilvl"))
    return (
        str(number.get(_VALUE, "")) if number is not None else "",
        number_of(level.get(_VALUE)) if level is not None else None,
    )


def _outline(element: Any) -> int | None:
    mark = element.find(_OUTLINE)
    value = mark.get(_VALUE) if mark is not None else None
    if value is None or not value.isdecimal():
        return None
    return int(value) + 1 if int(value) < _BODY_TEXT else 0


def _name(style: Any) -> str:
    name = style.find(qn("w:name"))
    return (name.get(_VALUE) or "").lower() if name is not None else ""
