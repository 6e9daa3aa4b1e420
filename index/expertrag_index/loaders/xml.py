"""Reads XML files: the text of their elements after its name, and attributes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from lxml import etree

from expertrag_index.loaders.base import Report, SourceFile, Unreadable, require_text
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import escape_headings
from expertrag_index.loaders.verbatim import fence_code
from expertrag_index.types import Document

_MOST_INLINE = 20
"""Most elements in a paragraph."""
_CODE = frozenset(("literallayout", "pre", "programlisting", "screen", "synopsis"))


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a file as one document; one that is not well-formed is read as it is written.

    :raises Unreadable: it is cut off.
    """
    data = file.read_bytes()
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True,
        remove_pis=True,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        reason = f"not well-formed XML in line {getattr(error, 'lineno', 1)}"
        text = require_text(decode(data, report=report)).strip("\n")
        if not text.rstrip().endswith(">"):  # cut off: an earlier version is better
            raise Unreadable(reason, "create it again") from None
        report(f"{reason}; read as text", "correct it", notice=True)
        yield document(file, FrontMatter(), "", fence_code(text, "xml"))
        return
    title = next((_words(each) for each in root.iter("{*}title") if _words(each)), "")
    text = escape_headings("\n".join(_lines(root)))
    yield document(file, FrontMatter(), title, require_text(text).strip("\n"))


def _lines(root: etree._Element) -> Iterator[str]:
    """Yield a line for each value, and a blank one above each element that holds several."""
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        if event == "end":
            yield from filter(None, [" ".join((element.tail or "").split())])
            continue
        is_value = len(element) == 0 or _is_paragraph(element)
        if is_value:
            walk.skip_subtree()
        else:
            yield ""
        name = etree.QName(element).localname
        text = _words(element) if is_value else " ".join((element.text or "").split())
        attributes = ", ".join(
            f"{etree.QName(key).localname}={value}" for key, value in element.attrib.items()
        )
        if text and name in _CODE:
            yield fence_code("".join(element.itertext()).strip("\n"))
        elif text or attributes:
            line = f"{name}: {text}" if text else name
            yield f"{line} ({attributes})" if attributes else line


def _is_paragraph(element: etree._Element) -> bool:
    """Whether text stands between the elements in an element, which are few."""
    texts = (element.text, *(each.tail for each in element))
    is_text = any((text or "").strip() for text in texts)
    is_text |= any(each.tag is etree.Entity for each in element)
    return is_text and sum(1 for _ in islice(element.iter(), _MOST_INLINE)) < _MOST_INLINE


def _words(element: etree._Element) -> str:
    """Return the text of an element; elements side by side, and empty ones, part words."""
    pieces = [element.text or ""]
    for each in element:
        pieces += [_words(each) or " ", each.tail or " "]
    return " ".join("".join(pieces).split())
