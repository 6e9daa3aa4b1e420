"""What a file says by a reader that is not ours: the reference of ``eval_loaders``.

Web pages: what Chromium shows (``innerText``). PDF: pdftotext. Word, OpenDocument, EPUB, Markdown
and reStructuredText: pandoc. PowerPoint and Excel: the texts of their XML. Mails: Python's
``email``. Records: ``csv`` and ``json``. Texts and code: their encoding.
"""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import loader_mails
import loader_office
from loader_corpus import RealFile
from lxml import etree
from lxml import html as lxml_html

_MODULES = (loader_mails, loader_office, sys.modules[__name__])
_SECONDS = 60
_PANDOC = {"docx": "docx", "odt": "odt", "epub": "epub"}
_MARKUP = {"markdown": "gfm+yaml_metadata_block", "rst": "rst"}
_NOT_SHOWN = re.compile(r"^\.\. toctree::.*\n(?:[ \t]+.*\n|[ \t]*\n)*", re.MULTILINE)
"""Names of files, in whose place readers see the titles of other pages."""
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"),
          (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))  # fmt: skip
_DECLARED = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_SHOW = (
    "<script>addEventListener('load',()=>{const t=document.body?document.body.innerText:'';"
    "document.documentElement.innerHTML='<head></head><body><pre id=shown></pre></body>';"
    "document.getElementById('shown').textContent=t})</script>"
)
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--dump-dom",
    "--virtual-time-budget=3000", "--host-resolver-rules=MAP * 127.0.0.1:9",
    "--allow-file-access-from-files",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reference:
    """The text of a file, and the texts of some of its parts by name: code, cells.

    ``beside``: more of the file that is not invented, such as the names of fields.
    """

    text: str
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    beside: str = ""


class NoReference(Exception):
    """The other reader cannot read the file."""


def cached_reference(file: RealFile, cache: Path) -> Reference:
    """Read a reference, or the result of an earlier reading of the same file by the same code.

    :raises NoReference: it cannot be read.
    """
    code = b"".join(Path(module.__file__ or "").read_bytes() for module in _MODULES)
    identity = f"{file.kind} {file.encoding} {file.path}".encode() + file.path.read_bytes()
    kept = cache / f"{hashlib.sha256(code + identity).hexdigest()}.json"
    if kept.exists():
        body = json.loads(kept.read_text("utf-8"))
        return Reference(**body)
    reference = read_reference(file)
    cache.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(asdict(reference)), "utf-8")
    return reference


_FAILURES = (ValueError, KeyError, OSError, AttributeError, BadZipFile, etree.LxmlError,
             subprocess.SubprocessError)  # fmt: skip


def read_reference(file: RealFile) -> Reference:
    """Read a file by a reader that is not ours.

    :raises NoReference: it cannot be read.
    """
    try:
        return _read(file)
    except _FAILURES as error:
        raise NoReference(f"{type(error).__name__}: {error}"[:200]) from error


def _read(file: RealFile) -> Reference:
    path, kind = file.path, file.kind
    if kind == "pdf":
        return Reference(_output(("pdftotext", "-enc", "UTF-8", str(path), "-")))
    if kind in _PANDOC:
        parts = {"cells": loader_office.cells(path)} if kind == "docx" else {}
        return Reference(_pandoc(_PANDOC[kind], path.read_bytes()), parts, loader_office.raw(path))
    if kind in ("pptx", "xlsx"):
        text, of_cells = loader_office.read(path)
        return Reference(text, {"cells": of_cells}, loader_office.raw(path))
    if kind in ("eml", "mbox"):
        raw = path.read_bytes().decode("utf-8", "replace")
        return Reference(loader_mails.read(path, text_of_page), beside=raw)
    return _read_text(path, kind, decode(path.read_bytes(), file.encoding))


def _read_text(path: Path, kind: str, text: str) -> Reference:
    if kind == "html":
        return Reference(_shown_by_browser(path, text), _parts_of_page(text), text)
    if kind in _MARKUP:
        words = _NOT_SHOWN.sub("", text) if kind == "rst" else text
        return Reference(_pandoc(_MARKUP[kind], words.encode()), beside=text)
    if kind == "xml":
        words = "\n".join(etree.fromstring(path.read_bytes(), _xml()).itertext())
        return Reference(words, beside=text)
    if kind == "csv":
        rows = _rows(text)
        cells = [cell for row in rows for cell in row]
        return Reference("\n".join(map("\t".join, rows)), {"cells": cells})
    if kind in ("json", "jsonl", "ipynb"):
        return _reference_of_json(text, kind)
    return Reference(text)


def decode(data: bytes, encoding: str = "") -> str:
    """Decode by a byte order mark, the known encoding, UTF-8, or a declaration, in this order.

    :raises ValueError: none of them fits.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data.decode(name)
    declared = _DECLARED.search(data, 0, 2048)
    for name in (encoding, "utf-8", declared[1].decode() if declared else ""):
        try:
            return data.decode(name or "utf-8")
        except (UnicodeDecodeError, LookupError):
            continue
    raise ValueError("the encoding is not known")


def text_of_page(page: str) -> str:
    """Return the text of a page's body, hidden text included, with a line for each block."""
    body = _tree(page).find("body")
    if body is None:
        return ""
    for dead in [*body.iter("script", "style", "template")]:
        dead.drop_tree()
    return " ".join(str(text) for text in body.itertext())


def _reference_of_json(text: str, kind: str) -> Reference:
    lines = [line for line in text.splitlines() if line.strip()] if kind == "jsonl" else [text]
    values = [json.loads(line) for line in lines]
    if kind != "ipynb":
        leaves = (leaf for value in values for leaf in _leaves(value))
        return Reference("\n".join(leaves), beside=text)
    sources = ["".join(cell.get("source", "")) for cell in values[0].get("cells", ())]
    code = [line for source in sources for line in source.splitlines()]
    return Reference(_pandoc("ipynb", text.encode()), {"code": code}, "\n".join(_leaves(values)))


def _leaves(value: object) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += reversed(item.values())
        elif isinstance(item, list):
            stack += reversed(item)
        elif item is not None:
            yield str(item)


def _rows(text: str) -> list[list[str]]:
    first = text.partition("\n")[0]
    return list(csv.reader(io.StringIO(text), delimiter=max(",;\t|", key=first.count)))


def _parts_of_page(page: str) -> dict[str, list[str]]:
    root = _tree(page)
    etree.strip_elements(root, "script", "style", "noscript", with_tail=False)
    return {
        "code": [_inner(each) for each in root.iter("pre", "code", "tt", "kbd", "samp")],
        "cells": [_inner(each) for each in root.iter("td", "th")],
    }


def _inner(element: lxml_html.HtmlElement) -> str:
    return " ".join(str(text) for text in element.itertext())


def _tree(page: str) -> lxml_html.HtmlElement:
    declaration = re.compile(r"^\s*<\?xml[^>]*\?>")
    parser = lxml_html.HTMLParser(huge_tree=True, encoding="utf-8")
    data = declaration.sub("", page).replace("\0", "").encode("utf-8", "replace")
    return lxml_html.document_fromstring(data or b"<p>", parser=parser)


def _shown_by_browser(path: Path, page: str) -> str:
    """Return what Chromium shows of a page, without a network."""
    page = re.sub(r"^\s*<\?xml[^>]*\?>", "", page)
    page = re.sub(r"(?i)<meta[^>]+(?:charset|http-equiv=[\"']?refresh)[^>]*>", "", page)
    base = f'<meta charset=utf-8><base href="{path.resolve().parent.as_uri()}/">'
    head = re.search(r"(?i)<head[^>]*>", page)
    page = page[: head.end()] + base + page[head.end() :] if head else base + page
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        copy.write_text(page + _SHOW, "utf-8", "replace")
        dom = _output(("chromium", *_FLAGS, f"--user-data-dir={folder}/profile", copy.as_uri()))
    shown = re.search(r'<pre id="shown">(.*)</pre>', dom, re.DOTALL)
    if shown is None:
        raise ValueError("the browser shows nothing")
    return html.unescape(shown[1])


def _pandoc(form: str, data: bytes) -> str:
    command = ("pandoc", "--from", form, "--to", "plain", "--wrap=none", "--sandbox")
    return _output(command, data)


def _output(command: Sequence[str], data: bytes = b"") -> str:
    done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=True)
    return done.stdout.decode("utf-8", "replace")


@cache
def _xml() -> etree.XMLParser:
    return etree.XMLParser(huge_tree=True, resolve_entities=False, no_network=True, recover=True)


def missing_tools(kinds: set[str]) -> list[str]:
    """Return the commands that the references of these kinds need and that are not installed."""
    needed = {
        "html": "chromium",
        "pdf": "pdftotext",
        **dict.fromkeys((*_PANDOC, *_MARKUP), "pandoc"),
    }
    return sorted(
        {needed[kind] for kind in kinds & {*needed} if shutil.which(needed[kind]) is None}
    )
