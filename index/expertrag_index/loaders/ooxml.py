"""Opens Office Open XML packages: their parts, what refers to what, and the properties of a file.

Each part is read on its own. A damaged one is reported and what is readable of it is kept, so that
one part never refuses the others. Strict files use other names of the same elements and are read
under the usual ones.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

from lxml import etree

from expertrag_index.loaders.archive import open_archive
from expertrag_index.loaders.base import Report, SourceFile
from expertrag_index.loaders.frontmatter import FrontMatter
from expertrag_index.loaders.stamps import last_change
from expertrag_index.types import MetadataValue

_SCHEMAS = "http://schemas.openxmlformats.org"
_MICROSOFT = "http://schemas.microsoft.com/office"
_NAMESPACES = {
    "a": f"{_SCHEMAS}/drawingml/2006/main",
    "c": f"{_SCHEMAS}/drawingml/2006/chart",
    "cx": f"{_MICROSOFT}/drawing/2014/chartex",
    "dgm": f"{_SCHEMAS}/drawingml/2006/diagram",
    "m": f"{_SCHEMAS}/officeDocument/2006/math",
    "mc": f"{_SCHEMAS}/markup-compatibility/2006",
    "p": f"{_SCHEMAS}/presentationml/2006/main",
    "r": f"{_SCHEMAS}/officeDocument/2006/relationships",
    "s": f"{_SCHEMAS}/spreadsheetml/2006/main",
    "v": "urn:schemas-microsoft-com:vml",
    "w": f"{_SCHEMAS}/wordprocessingml/2006/main",
    "wp": f"{_SCHEMAS}/drawingml/2006/wordprocessingDrawing",
    "wps": f"{_MICROSOFT}/word/2010/wordprocessingShape",
    "xdr": f"{_SCHEMAS}/drawingml/2006/spreadsheetDrawing",
}
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
_USUAL = rb"http://schemas.openxmlformats.org/\1/2006/\2"
_MAIN = ("word/document.xml", "ppt/presentation.xml", "xl/workbook.xml")
_KINDS = {"sheet": "worksheet", "sharedstrings": "sharedStrings"}
_DAMAGED = "open it with an Office program and save it again"


class Relation(NamedTuple):
    """What a part refers to: its kind, and the name of a part of the package."""

    kind: str
    target: str


def qn(name: str) -> str:
    """Return the full name of an element or attribute: ``w:p`` with its namespace."""
    prefix, _, local = name.partition(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"


FALLBACK = qn("mc:Fallback")
"""The form of a shape for old programs; the new form stands next to it."""


def is_fallback(element: Any) -> bool:
    """Whether an element is in the form of a shape for old programs."""
    return any(each.tag == FALLBACK for each in element.iterancestors())


def local_name(element: Any) -> str:
    """Return the name of an element without its namespace; empty for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def number_of(text: str | None, otherwise: int = 0) -> int:
    """Return an attribute as a whole number; ``otherwise`` if it is not one."""
    try:
        return int(text) if text else otherwise
    except ValueError:
        return otherwise


def usual_names(data: bytes) -> bytes:
    """Return the XML of a strict part under the usual names."""
    return _STRICT.sub(_USUAL, data) if b"purl.oclc.org" in data else data


def parse_xml(data: bytes) -> tuple[Any, bool]:
    """Parse XML as far as it is readable.

    :return: the root element, or None, and whether all of it could be read.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    try:
        root = etree.fromstring(usual_names(data), parser)
    except (etree.LxmlError, ValueError):
        return None, False
    fatal = any(entry.level_name == "FATAL" for entry in parser.error_log)
    return root, root is not None and not fatal


@contextmanager
def open_package(file: SourceFile, kind: str, report: Report) -> Iterator[Package]:
    """Open an Office file as a package; whatever is raised inside becomes `Unreadable`."""
    with open_archive(file, kind) as data, zipfile.ZipFile(data) as archive:
        package = Package(archive, report)
        if not package.main:
            raise KeyError("the main part")
        yield package


class Package:
    """The parts of an Office file. ``main`` names the one that the others belong to."""

    def __init__(self, archive: zipfile.ZipFile, report: Report) -> None:
        self._archive = archive
        self._report = report
        self._names = {_key(name): name for name in archive.namelist()}
        self._relations: dict[str, Mapping[str, Relation]] = {}
        declared = self.find_related("", "officeDocument")
        mains = [name for name in (*declared, *_MAIN) if name in self._names]
        self.main = mains[0] if mains else ""

    def data(self, name: str) -> bytes:
        """Return the bytes of a part; empty if there is no such part, or it is damaged."""
        try:
            return self._archive.read(self._names[_key(name)])
        except Exception:  # zlib, lzma, a wrong checksum, a member that is encrypted
            return b""

    def root(self, name: str, where: str = "") -> Any:
        """Return the root element of a part, which is complete unless that is reported.

        :param where: what of the file shows the part.
        :return: None if nothing of it can be read.
        """
        root, complete = parse_xml(self.data(name))
        if not complete:
            self.report_damage(name, where)
        return root

    def report_damage(self, name: str, where: str = "") -> None:
        """Report a part that cannot be read, or not to its end."""
        at = f"{where}: " if where else ""
        known = self._names.get(_key(name), name) or "without a name"
        self._report(f"{at}the part {known!r} is damaged", _DAMAGED)

    def relations(self, name: str) -> Mapping[str, Relation]:
        """Return what a part refers to by id; the references of a damaged list are guessed."""
        if name not in self._relations:
            self._relations[name] = self._read_relations(name)
        return self._relations[name]

    def find_related(self, name: str, kind: str) -> list[str]:
        """Return the names of the parts of a kind that a part refers to."""
        return [each.target for each in self.relations(name).values() if each.kind == kind]

    def target(self, name: str, reference: str | None) -> str:
        """Return the name of the part that an id refers to; empty if there is none."""
        relation = self.relations(name).get(reference or "")
        return relation.target if relation else ""

    @cached_property
    def matter(self) -> FrontMatter:
        """The title, the author and the last change that the file declares."""
        root = None
        for name in self.find_related("", "core-properties") or ["docProps/core.xml"]:
            root = root if root is not None else parse_xml(self.data(name))[0]
        properties = (
            {local_name(each): each.text or "" for each in root} if root is not None else {}
        )
        author = properties.get("creator", "").strip()
        metadata: dict[str, MetadataValue] = {"author": author} if author else {}
        if day := last_change(properties.get("modified"), properties.get("created")):
            metadata["modified"] = day
        return FrontMatter(properties.get("title", "").strip(), None, metadata)

    def _read_relations(self, name: str) -> dict[str, Relation]:
        folder, base = posixpath.split(name)
        part = posixpath.join(folder, "_rels", f"{base}.rels")
        root, complete = parse_xml(self.data(part)) if _key(part) in self._names else (None, True)
        if not complete:
            self.report_damage(part)
        if root is None or not len(root):
            return (
                dict(self._guess_relations()) if name and name == getattr(self, "main", "") else {}
            )
        return {
            each.get("Id", ""): Relation(
                each.get("Type", "").rpartition("/")[2],
                _key(posixpath.join("/", folder, each.get("Target", ""))),
            )
            for each in root
            if each.get("TargetMode") != "External"
        }

    def _guess_relations(self) -> Iterator[tuple[str, Relation]]:
        """Yield all parts under the kinds that their usual names tell, by their numbers."""
        for name in sorted(self._names, key=lambda name: (len(name), name)):
            stem = re.sub(r"\d*\.xml$", "", posixpath.basename(name))
            yield name, Relation(_KINDS.get(stem, stem), name)


def _key(name: str) -> str:
    """Return how parts are compared: some programs write other cases, slashes and roots."""
    return posixpath.normpath(name.replace("\\", "/")).lstrip("/").lower()


def as_stream(data: bytes) -> io.BytesIO:
    """Return the XML of a part as a stream, under the usual names."""
    return io.BytesIO(usual_names(data))
