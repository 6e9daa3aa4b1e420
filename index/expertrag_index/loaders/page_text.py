"""Writes the text of the nodes of a page, with headings, paragraphs, lists, rows and code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from string import ascii_lowercase, ascii_uppercase

from expertrag_index.loaders.hidden_html import HtmlStyles, look_of, reason_cut
from expertrag_index.loaders.page_nodes import (
    Element,
    Node,
    children,
    has_text,
    inside,
    text_in,
)
from expertrag_index.loaders.page_tables import Table, header_rows
from expertrag_index.loaders.page_writer import PageWriter

_DROPPED = frozenset((
    "script", "style", "noscript", "template", "iframe", "noframes", "noembed", "audio", "video",
    "canvas", "datalist", "title", "desc", "defs", "symbol", "metadata", "annotation",
    "annotation-xml",
))  # fmt: skip
_PARAGRAPHS = frozenset((
    "address", "article", "aside", "blockquote", "body", "center", "details", "dialog",
    "div", "dl", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr",
    "legend", "main", "nav", "p", "search", "section", "summary",
))  # fmt: skip
_LINES = frozenset(("caption", "dt", "option", "tbody", "text", "tfoot", "thead"))
_SPACED = frozenset(("button", "label", "object", "select", "svg", "textarea", "tspan"))
_LISTS = ("ul", "ol", "menu", "dir")
_CELLS = ("td", "th")
_CODE = ("pre", "listing", "xmp", "plaintext")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_LAYOUT = frozenset(("table", "tr", *_CELLS, *_CODE, *_HEADINGS))
_FLAT_CHARACTERS = 1_000
_SHOWN_INPUTS = (
    "", "text", "search", "email", "tel", "url", "number", "date", "submit", "button", "reset",
)  # fmt: skip
_PERMALINKS = ("\u00b6", "\u00a7", "#", "\uf0c1", "\U0001f517")
_BLOCK_DISPLAY = ("block", "flex", "grid", "list-item", "table", "table-row")
_INTEGER = re.compile(r"-?\d{1,9}", re.ASCII)
_POWER = re.compile("[-+\u2212]?\\d+|[a-zA-Z]")
_ORDINALS = ("a", "e", "o")
_TERM = re.compile("[\\w.]*[-+*/\u2212][\\w.+*/\u2212-]*")


@dataclass(slots=True)
class _List:
    number: int | None  # of the next item
    letters: str
    step: int = 1
    items: int = 0

    def marker(self, value: str) -> str:
        self.items += 1
        if self.number is None:
            return "- "
        number = int(value) if _INTEGER.fullmatch(value) else self.number
        self.number = number + self.step
        return f"{self.letters[number - 1] if 0 < number <= len(self.letters) else number}. "


class PageText:
    """The reading of a page.

    :param hidden: counts what is left out because a browser does not show it, by reason.
    """

    def __init__(self, nodes: Sequence[Node], styles: HtmlStyles, hidden: Counter[str]) -> None:
        self._nodes, self._styles, self._hidden = nodes, styles, hidden
        self._writer = PageWriter()
        self._looks = [styles.page]
        self._tables: list[Table] = []
        self._lists: list[_List] = []
        self._closers: dict[int, list[Callable[[], object]]] = {}

    def read(self) -> str:
        """Return the text."""
        position = 0
        while position < len(self._nodes):
            node = self._nodes[position]
            if isinstance(node, str):
                self._say(node)
            elif position == node.begin:
                position = self._begin(node)
            else:
                self._looks.pop()
                for close in reversed(self._closers.pop(position, ())):
                    close()
            position += 1
        return self._writer.result()

    def _say(self, text: str) -> None:
        look = self._looks[-1]
        if not (reason := look.reason_hidden):
            self._writer.text(text, look.lines)
        elif text.strip():
            self._hidden[reason] += 1
        else:
            self._writer.space()

    def _begin(self, element: Element) -> int:
        """Begin an element; return the place to continue after: its end if it is left out."""
        if element.name in _DROPPED or self._is_permalink(element):
            return element.end
        own = self._styles.of(element)
        if reason := reason_cut(element, own):
            self._hidden.update([reason] if has_text(self._nodes, element) else [])
            return element.end
        self._looks.append(look_of(element, own, self._looks[-1]))
        self._begin_block(element, own.get("display", ""))
        return element.begin

    def _is_permalink(self, element: Element) -> bool:
        """Tell whether it is the sign next to a heading that links to it."""
        if element.name != "a" or "#" not in element.get("href"):
            return False
        return text_in(self._nodes, element, 4).strip() in _PERMALINKS

    def _at_end(self, element: Element, close: Callable[[], object]) -> None:
        self._closers.setdefault(element.end, []).append(close)

    def _set_apart(self, element: Element, newlines: int = 2) -> None:
        self._writer.break_(newlines)
        self._at_end(element, partial(self._writer.break_, newlines))

    def _begin_block(self, element: Element, display: str) -> None:
        writer, name = self._writer, element.name
        if begin := _SPECIAL.get(name):
            begin(self, element)
        elif name in _PARAGRAPHS:
            self._set_apart(element)
        elif name in _LINES or display in _BLOCK_DISPLAY:
            self._set_apart(element, 1)
        elif name in _SPACED or display.startswith(("inline-", "table-")):
            writer.space()
            self._at_end(element, writer.space)

    def _begin_br(self, _: Element) -> None:
        self._writer.line_break()

    def _begin_code(self, element: Element) -> None:
        self._writer.begin_code()
        self._at_end(element, self._writer.end_code)

    def _begin_heading(self, element: Element) -> None:
        if self._is_flat(element):
            self._writer.begin_heading(int(element.name[1]))
            self._at_end(element, self._writer.end_heading)
        else:
            self._set_apart(element)

    def _is_flat(self, element: Element) -> bool:
        """Tell whether an element fits a line: it is short, and lays out nothing."""
        characters = 0
        for node in inside(self._nodes, element):
            if isinstance(node, str):
                characters += len(node.strip())
                if characters > _FLAT_CHARACTERS:
                    return False
            elif node.name in _LAYOUT:
                return False
        return True

    def _begin_list(self, element: Element) -> None:
        self._set_apart(element, 1 if self._lists else 2)
        self._lists.append(_list_of(element, self._nodes))
        self._at_end(element, partial(self._lists.pop, -1))

    def _begin_item(self, element: Element) -> None:
        items = self._lists[-1] if self._lists else _List(None, "")
        is_first = items.items == 0
        marker = items.marker(element.get("value"))
        self._writer.begin_item(marker, tight=not is_first)
        self._at_end(element, partial(self._writer.end_item, marker))

    def _begin_description(self, element: Element) -> None:
        self._writer.begin_item("", tight=False)
        self._at_end(element, self._writer.break_)
        self._at_end(element, partial(self._writer.end_item, ""))

    def _begin_table(self, element: Element) -> None:
        self._set_apart(element)
        self._tables.append(Table(self._writer, header_rows(self._nodes, element)))
        self._at_end(element, partial(self._tables.pop, -1))

    def _begin_row(self, element: Element) -> None:
        self._set_apart(element, 1)
        if self._tables:
            table = self._tables[-1]
            cells = sum(each.name in _CELLS for each in children(self._nodes, element))
            table.begin_row(element, cells)
            self._at_end(element, table.end_row)

    def _begin_cell(self, element: Element) -> None:
        table = self._tables[-1] if self._tables else None
        if table is None or not table.is_row:
            self._set_apart(element, 1)
            return
        flat = self._is_flat(element)
        column = table.begin_cell(element, flat)
        mark = self._writer.mark()
        self._at_end(element, lambda: table.end_cell(element, column, flat, mark))

    def _begin_power(self, element: Element) -> None:
        text = text_in(self._nodes, element, 6)
        if self._writer.follows_word:
            if _POWER.fullmatch(text) and not (self._writer.follows_digit and text in _ORDINALS):
                self._writer.text("^")
            elif _TERM.fullmatch(text):
                self._writer.text("^(")
                self._at_end(element, partial(self._writer.text, ")"))

    def _begin_image(self, element: Element) -> None:
        self._say_beside(element.get("alt"))

    def _begin_input(self, element: Element) -> None:
        kind = element.get("type").lower()
        if kind == "image":
            self._say_beside(element.get("alt"))
        elif kind in _SHOWN_INPUTS:
            self._say_beside(element.get("value"))
        else:
            self._writer.space()

    def _begin_option_group(self, element: Element) -> None:
        self._set_apart(element, 1)
        self._say_beside(element.get("label"))

    def _say_beside(self, text: str) -> None:
        """Write the text of an attribute, apart from the texts around it."""
        self._writer.space()
        self._say(text)
        self._writer.space()


def _list_of(element: Element, nodes: Sequence[Node]) -> _List:
    if element.name != "ol":
        return _List(None, "")
    start = element.get("start")
    number = int(start) if _INTEGER.fullmatch(start) else 1
    step = 1
    if "reversed" in element.attributes:
        step = -1
        if not _INTEGER.fullmatch(start):
            number = sum(each.name == "li" for each in children(nodes, element))
    letters = {"a": ascii_lowercase, "A": ascii_uppercase}.get(element.get("type"), "")
    return _List(number, letters, step)


_SPECIAL: dict[str, Callable[[PageText, Element], None]] = {
    "br": PageText._begin_br,
    "dd": PageText._begin_description,
    "img": PageText._begin_image,
    "area": PageText._begin_image,
    "input": PageText._begin_input,
    "li": PageText._begin_item,
    "optgroup": PageText._begin_option_group,
    "sup": PageText._begin_power,
    "table": PageText._begin_table,
    "tr": PageText._begin_row,
    **dict.fromkeys(_CELLS, PageText._begin_cell),
    **dict.fromkeys(_CODE, PageText._begin_code),
    **dict.fromkeys(_HEADINGS, PageText._begin_heading),
    **dict.fromkeys(_LISTS, PageText._begin_list),
}
