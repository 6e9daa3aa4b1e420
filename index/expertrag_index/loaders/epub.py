"""Reads EPUB books: a page for each part of the reading order, mostly a chapter."""

from __future__ import annotations

import posixpath
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from lxml import etree

from expertrag_index.loaders.archive import open_archive
from expertrag_index.loaders.base import (
    Report,
    SourceFile,
    Unreadable,
    note_hidden,
    require_text,
)
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import first_heading
from expertrag_index.loaders.html import page_of
from expertrag_index.loaders.pages import join_pages
from expertrag_index.types import Document, MetadataValue

_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
_PROPERTIES = ("title", "creator", "language", "date", "publisher")
_NAVIGATION = "nav"


@dataclass(frozen=True, slots=True)
class _Book:
    parts: list[str]
    """Names of the pages in their order."""
    properties: dict[str, list[str]]


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a book as one document with pages; its title, authors and language are declared."""
    hidden: Counter[str] = Counter()
    with open_archive(file, "EPUB", office=False) as data, zipfile.ZipFile(data) as archive:
        book = _book(archive)
        locked = _find_encrypted(archive)
        pages = []
        for part in book.parts:
            if part in locked:
                raise Unreadable("the book is encrypted (DRM)", "use a copy without DRM")
            pages.append(_page(archive, part, hidden, report))
    note_hidden(report, hidden)
    text, starts = join_pages(pages)
    title = " ".join(book.properties["title"][:1])
    matter = FrontMatter(title, None, _metadata(book))
    made = document(file, matter, first_heading(text), require_text(text, hidden))
    yield replace(made, page_starts=starts)


def _metadata(book: _Book) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {"pages": len(book.parts)}
    if authors := book.properties["creator"]:
        metadata["author"] = authors[0] if len(authors) == 1 else authors
    for name in _PROPERTIES[2:]:
        if book.properties[name]:
            metadata[name] = book.properties[name][0]
    return metadata


def _page(archive: zipfile.ZipFile, part: str, hidden: Counter[str], report: Report) -> str:
    try:
        return page_of(archive.read(part), hidden)[1]
    except KeyError:
        report(f"part {part!r} is missing in the book", "use an undamaged copy")
    except Unreadable as error:
        report(f"part {part!r}: {error.reason}", error.cure)
    return ""


def _book(archive: zipfile.ZipFile) -> _Book:
    root = next(_find_elements(_xml(archive.read(_CONTAINER)), "rootfile"), None)
    name = unquote(str(root.get("full-path"))) if root is not None else ""
    package = _xml(archive.read(name))
    folder = posixpath.dirname(name)
    items = {item.get("id"): item for item in _find_elements(package, "item")}
    parts = []
    for reference in _find_elements(package, "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _PAGES:
            continue
        if _NAVIGATION not in (item.get("properties") or "").split():
            parts.append(posixpath.normpath(posixpath.join(folder, unquote(item.get("href", "")))))
    properties = {
        name: [
            text
            for each in _find_elements(package, name)
            if (text := " ".join((each.text or "").split()))
        ]
        for name in _PROPERTIES
    }
    return _Book(parts, properties)


def _find_encrypted(archive: zipfile.ZipFile) -> set[str]:
    """Return the parts that are encrypted; fonts often are, in books that anyone may read."""
    try:
        listed = _xml(archive.read(_ENCRYPTION))
    except KeyError:
        return set()
    return {unquote(each.get("URI", "")) for each in _find_elements(listed, "CipherReference")}


def _xml(data: bytes) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    return etree.fromstring(data, parser)


def _find_elements(root: Any, name: str) -> Iterator[Any]:
    return iter(root.iter("{*}" + name))
