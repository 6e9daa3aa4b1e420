"""Finds the messages of a chat that Telegram exports as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from expertrag_index.loaders.base import Report
from expertrag_index.loaders.chats import ExportedMessage
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.page_nodes import Element, Node, nodes_of

MARK = b'class="message default clearfix'
_TIME = re.compile(r"(\d\d)\.(\d\d)\.(\d{4}) (\d\d:\d\d)")
_DAY = re.compile(r"\d{1,2} \w+ \d{4}")
"""A line between days, which the times of the messages repeat."""
_ANSWERED = re.compile(r"#go_to_(message\d+)")
_SPACE = re.compile(r"\s+")
_LINES = ("br", "div", "p")
_PARTS = ("userpic_wrap", "date", "from_name", "reply_to", "forwarded", "text")


def messages_of_page(data: bytes, report: Report) -> tuple[str, list[ExportedMessage]]:
    """Return the name of a conversation, and its messages; none if a page is not one."""
    nodes = nodes_of(decode(data, "utf-8", report))
    title = ""
    messages: list[ExportedMessage] = []
    who = when = ""
    for element in _find_elements(nodes, 0, len(nodes)):
        kinds = _kinds(element)
        if "page_header" in kinds:
            title = _text(nodes, element)
        elif {"message", "service"} <= kinds:
            text = _text(nodes, element)
            if not _DAY.fullmatch(text):
                messages.append(ExportedMessage(when, "", text, element.get("id")))
        elif {"message", "default"} <= kinds:
            parts = _parts(nodes, element)
            who, when = parts.get("from_name", who), parts.get("date", when)
            answered = parts.get("reply_to", "")
            messages.append(ExportedMessage(when, who, parts["text"], element.get("id"), answered))
    return title, messages


def _parts(nodes: Sequence[Node], message: Element) -> dict[str, str]:
    """Return what a message consists of; its text is all that is not one of the other parts.

    One of the same author as the message above has no name.
    """
    parts: dict[str, str] = {}
    texts: list[str] = []
    position = message.begin + 1
    while position < message.end:
        node = nodes[position]
        if isinstance(node, str):
            texts.append(" ".join(node.split()))
        elif node.begin == position:
            kinds = _kinds(node)
            kind = next((kind for kind in _PARTS if kind in kinds), "")
            if kind:
                parts |= _part(nodes, node, kind)
                texts.append(_text(nodes, node) if kind in ("forwarded", "text") else "")
                position = node.end
        position += 1
    return {**parts, "text": "\n".join(filter(None, texts))}


def _part(nodes: Sequence[Node], element: Element, kind: str) -> dict[str, str]:
    if kind == "from_name":
        return {kind: _text(nodes, element)}
    if kind == "date" and (time := _TIME.search(element.get("title"))):
        return {kind: f"{time[3]}-{time[2]}-{time[1]} {time[4]}"}
    if kind == "reply_to":
        targets = (each.get("href") for each in _find_elements(nodes, element.begin, element.end))
        answered = next(filter(None, map(_ANSWERED.search, targets)), None)
        return {kind: answered[1]} if answered else {}
    return {}


def _find_elements(nodes: Sequence[Node], start: int, end: int) -> Iterator[Element]:
    for position in range(start, end):
        node = nodes[position]
        if isinstance(node, Element) and node.begin == position:
            yield node


def _kinds(element: Element) -> set[str]:
    return set(element.get("class").split())


def _text(nodes: Sequence[Node], element: Element) -> str:
    """Return the text in an element, a line for each block."""
    pieces: list[str] = []
    for node in nodes[element.begin : element.end]:
        if isinstance(node, str):
            pieces.append(_SPACE.sub(" ", node))
        elif node.name in _LINES:
            pieces.append("\n")
    lines = (line.strip() for line in "".join(pieces).split("\n"))
    return "\n".join(filter(None, lines))
