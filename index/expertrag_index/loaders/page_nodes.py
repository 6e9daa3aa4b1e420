"""Parses HTML to a flat list of texts and elements: pages nest deeper than a tree should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lxml import etree


@dataclass(slots=True)
class Element:
    """An element, which stands in the list where it begins and where it ends.

    ``end``: the second of these two places.
    """

    name: str
    attributes: Mapping[str, str]
    begin: int
    end: int

    def get(self, name: str) -> str:
        """Return the value of an attribute; empty if the element does not have it."""
        return self.attributes.get(name) or ""


Node = Element | str


class _Target:
    """Collects what the parser reports."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._open: list[Element] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        position = len(self._nodes)
        element = Element(name, dict(attributes), position, position)
        self._open.append(element)
        self._nodes.append(element)

    def end(self, _: str) -> None:
        element = self._open.pop()
        element.end = len(self._nodes)
        self._nodes.append(element)

    def data(self, text: str) -> None:
        self._nodes.append(text)

    def close(self) -> list[Node]:
        while self._open:
            self.end("")
        return self._nodes


def nodes_of(page: str) -> list[Node]:
    """Parse a page; an element is in the list twice, at ``begin`` and at ``end``.

    Not by "html.parser": it takes 25 s for 80 kB of `<a b=`, in quadratic time; lxml takes 0.02 s.
    """
    parser = etree.HTMLParser(target=_Target(), huge_tree=True, encoding="utf-8")
    parser.feed(page.encode("utf-8", "replace"))
    nodes: list[Node] = parser.close()
    return nodes


def inside(nodes: Sequence[Node], element: Element) -> Iterator[Node]:
    """Yield the nodes between the begin and the end of an element, each element twice."""
    return (nodes[position] for position in range(element.begin + 1, element.end))


def children(nodes: Sequence[Node], element: Element) -> Iterator[Element]:
    """Yield the elements that are directly in an element."""
    position = element.begin + 1
    while position < element.end:
        node = nodes[position]
        if isinstance(node, Element):
            yield node
            position = node.end
        position += 1


def has_text(nodes: Sequence[Node], element: Element) -> bool:
    """Return whether there is more than white space in an element."""
    return any(isinstance(node, str) and not node.isspace() for node in inside(nodes, element))


def text_in(nodes: Sequence[Node], element: Element, most_nodes: int) -> str:
    """Return the text in an element; empty if it has more nodes than ``most_nodes``."""
    if element.end - element.begin > most_nodes:
        return ""
    return "".join(node for node in inside(nodes, element) if isinstance(node, str))
