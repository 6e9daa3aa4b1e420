"""Maps file suffixes to readers. A reader's module is imported when it is first needed."""

from __future__ import annotations

import re
from importlib import import_module
from typing import cast

from expertrag_index.loaders.base import FileReader
from expertrag_index.loaders.definitions import LANGUAGES

_PACKAGE = "expertrag_index.loaders"
_DOCUMENTS = {
    ".adoc": "outlines:read",
    ".csv": "tables:read",
    ".docm": "docx:read",
    ".docx": "docx:read",
    ".dotm": "docx:read",
    ".dotx": "docx:read",
    ".eml": "mail:read",
    ".epub": "epub:read",
    ".htm": "html:read",
    ".html": "html:read",
    ".ipynb": "notebook:read",
    ".json": "objects:read_whole",
    ".jsonl": "objects:read_lines",
    ".log": "plain:read",
    ".markdown": "markdown:read",
    ".mbox": "mbox:read",
    ".md": "markdown:read",
    ".odp": "odf:read",
    ".ods": "odf:read",
    ".odt": "odf:read",
    ".org": "outlines:read",
    ".pdf": "pdf:read",
    ".pod": "outlines:read",
    ".potx": "pptx:read",
    ".ppsx": "pptx:read",
    ".pptm": "pptx:read",
    ".pptx": "pptx:read",
    ".rst": "rst:read",
    ".tex": "outlines:read",
    ".tsv": "tables:read",
    ".txt": "plain:read",
    ".xhtml": "html:read",
    ".xlsm": "xlsx:read",
    ".xlsx": "xlsx:read",
    ".xltx": "xlsx:read",
    ".xml": "xml:read",
}
_MANUALS = dict.fromkeys((f".{section}" for section in range(1, 9)), "outlines:read")
_PACKED = {
    f"{suffix}.gz": _DOCUMENTS[suffix]
    for suffix in (".csv", ".htm", ".html", ".json", ".jsonl", ".log", ".md", ".rst", ".tsv",
                   ".txt", ".xml")
} | {f"{suffix}.gz": reader for suffix, reader in _MANUALS.items()}  # fmt: skip
_READERS = _DOCUMENTS | _MANUALS | _PACKED | dict.fromkeys(LANGUAGES, "code:read")
DOCUMENT_SUFFIXES = tuple(_DOCUMENTS)
SUFFIXES = tuple(_READERS)
"""Suffixes of documents, of what is packed by gzip, and of source code."""
_PLAIN_NAME = re.compile(
    r"(?:authors|bugs|changelog|changes|contributing|contributors|copying|copyright|credits|faq"
    r"|history|install|licen[cs]e|maintainers|news|notice|readme|release[-_]?notes|thanks|todo)"
    r"(?:[-_.](?:debian|source|txt|[a-z]*-?[0-9.]+|agpl|apache|bsd|gpl|lesser|lgpl|mit|mpl))*"
)
"""What is text by its name, such as ``README`` and ``LICENSE-MIT``."""


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case; ``.jsonl.gz`` for ``a.jsonl.gz``.

    The name of a text without a suffix, such as ``README``, has the suffix ``.txt``.
    """
    name = name.lower().lstrip(".")
    stem = name.removesuffix(".gz")
    packed = ".gz" if stem != name else ""
    _, dot, last = stem.rpartition(".")
    suffix = f"{dot}{last}{packed}" if dot else packed
    if suffix not in _READERS and _PLAIN_NAME.fullmatch(stem):
        return f".txt{packed}"
    return suffix


def is_collection(name: str) -> bool:
    """Whether a file of this name holds many documents."""
    kinds = (["csv"], ["tsv"], ["json"], ["jsonl"], ["mbox"])
    return suffix_of(name).split(".")[1:2] in kinds


def reader_of(suffix: str) -> FileReader | None:
    """Return the reader for a suffix; None if there is none.

    :raises ImportError: its parser is not installed.
    """
    if suffix not in _READERS:
        return None
    module, function = _READERS[suffix].split(":")
    return cast(FileReader, getattr(import_module(f"{_PACKAGE}.{module}"), function))
