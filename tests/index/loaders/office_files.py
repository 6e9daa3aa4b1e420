"""Office files for tests: made by the libraries that write them, changed part by part."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from docx import Document as open_docx
from index.conftest import zip_of

from expertrag_index.loaders.base import SourceFile
from expertrag_index.loaders.parse import parse
from expertrag_index.types import Document, LoadFailure

OFFICE = "http://schemas.openxmlformats.org"
MICROSOFT = "http://schemas.microsoft.com/office"
SPACES = {
    "a": f"{OFFICE}/drawingml/2006/main",
    "c": f"{OFFICE}/drawingml/2006/chart",
    "dgm": f"{OFFICE}/drawingml/2006/diagram",
    "m": f"{OFFICE}/officeDocument/2006/math",
    "mc": f"{OFFICE}/markup-compatibility/2006",
    "p": f"{OFFICE}/presentationml/2006/main",
    "r": f"{OFFICE}/officeDocument/2006/relationships",
    "v": "urn:schemas-microsoft-com:vml",
    "w": f"{OFFICE}/wordprocessingml/2006/main",
    "wp": f"{OFFICE}/drawingml/2006/wordprocessingDrawing",
    "wps": f"{MICROSOFT}/word/2010/wordprocessingShape",
    "cx": f"{MICROSOFT}/drawing/2014/chartex",
}
NAMESPACES = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in SPACES.items())
_PACKAGE = f"{OFFICE}/package/2006/relationships"

Parts = dict[str, bytes]


def parts_of(data: bytes) -> Parts:
    """The parts of an Office file by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def saved(made: Any) -> Parts:
    """The parts of what a library writes."""
    out = io.BytesIO()
    made.save(out)
    return parts_of(out.getvalue())


def strict(parts: Parts) -> Parts:
    """The same file as Office saves it as Strict Open XML: elements have other names."""
    renamed = {}
    for name, data in parts.items():
        for kind in ("wordprocessingml", "spreadsheetml", "presentationml", "drawingml"):
            for space in ("main", "chart", "diagram", "picture", "wordprocessingDrawing"):
                old, new = (
                    f"{OFFICE}/{kind}/2006/{space}",
                    f"http://purl.oclc.org/ooxml/{kind}/{space}",
                )
                data = data.replace(old.encode(), new.encode())
        old, new = f"{OFFICE}/officeDocument/2006", "http://purl.oclc.org/ooxml/officeDocument"
        for space in ("relationships", "math"):
            data = data.replace(f"{old}/{space}".encode(), f"{new}/{space}".encode())
        renamed[name] = data
    return renamed


def related(kind: str, target: str, number: int) -> str:
    """A relation of a part; its id is ``x`` and a number."""
    space = SPACES["r"]
    return f'<Relationship Id="x{number}" Type="{space}/{kind}" Target="{target}"/>'


def relations(*items: str) -> bytes:
    return f'<Relationships xmlns="{_PACKAGE}">{"".join(items)}</Relationships>'.encode()


def with_relations(parts: Parts, name: str, *items: str) -> Parts:
    """Add relations to a part of a file."""
    folder, _, base = name.rpartition("/")
    at = f"{folder}/_rels/{base}.rels"
    data = parts.get(at, relations()).replace(b"<Relationships/>", relations())
    return parts | {
        at: data.replace(b"</Relationships>", "".join(items).encode() + b"</Relationships>")
    }


def word_parts(body: str, others: Parts | None = None, *items: str) -> Parts:
    """A Word file with a body in its XML, and other parts that it refers to."""
    parts = saved(open_docx())
    xml = f"<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>"
    parts["word/document.xml"] = xml.encode()
    return with_relations(parts | (others or {}), "word/document.xml", *items)


def parsed(tmp_path: Path, name: str, parts: Parts) -> tuple[str, list[LoadFailure]]:
    """The text of an Office file, empty if it is refused, and what is reported of it."""
    path = tmp_path / name
    path.write_bytes(zip_of(parts))
    items = list(parse(SourceFile(path, name, name, None, 2**23)))
    texts = [item.text for item in items if isinstance(item, Document)]
    return "".join(texts), [item for item in items if isinstance(item, LoadFailure)]


def read(tmp_path: Path, name: str, parts: Parts) -> str:
    """The text of a file of which nothing is reported as lost."""
    text, failures = parsed(tmp_path, name, parts)
    assert [failure.reason for failure in failures if not failure.notice] == []
    return text
