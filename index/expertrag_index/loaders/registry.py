"""Maps file suffixes to readers. A reader's module is imported when it is first needed."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from expertrag_index.loaders.base import FileReader
from expertrag_index.loaders.definitions import LANGUAGES

_PACKAGE = "expertrag_index.loaders"
_DOCUMENTS = {
    ".csv": "tables:read",
    ".csv.gz": "tables:read",
    ".docm": "docx:read",
    ".docx": "docx:read",
    ".dotm": "docx:read",
    ".dotx": "docx:read",
    ".eml": "mail:read",
    ".epub": "epub:read",
    ".htm": "html:read",
    ".html": "html:read",
    ".json": "objects:read_whole",
    ".json.gz": "objects:read_whole",
    ".jsonl": "objects:read_lines",
    ".jsonl.gz": "objects:read_lines",
    ".mbox": "mbox:read",
    ".md": "markdown:read",
    ".odp": "odf:read",
    ".ods": "odf:read",
    ".odt": "odf:read",
    ".pdf": "pdf:read",
    ".potx": "pptx:read",
    ".ppsx": "pptx:read",
    ".pptm": "pptx:read",
    ".pptx": "pptx:read",
    ".rst": "rst:read",
    ".txt": "plain:read",
    ".xlsm": "xlsx:read",
    ".xlsx": "xlsx:read",
    ".xltx": "xlsx:read",
}
_READERS = _DOCUMENTS | dict.fromkeys(LANGUAGES, "code:read")
DOCUMENT_SUFFIXES = tuple(_DOCUMENTS)
SUFFIXES = tuple(_READERS)
"""Those of documents, then those of source code."""


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case; ``.jsonl.gz`` for ``a.jsonl.gz``."""
    parts = name.lower().lstrip(".").split(".")
    if len(parts) > 2 and parts[-1] == "gz":
        return f".{parts[-2]}.gz"
    return f".{parts[-1]}" if len(parts) > 1 else ""


def is_collection(name: str) -> bool:
    """Whether a file of this name holds many documents."""
    return suffix_of(name).split(".")[1:2] in (["csv"], ["json"], ["jsonl"], ["mbox"])


def reader_of(suffix: str) -> FileReader | None:
    """Return the reader for a suffix; None if there is none.

    :raises ImportError: its parser is not installed.
    """
    if suffix not in _READERS:
        return None
    module, function = _READERS[suffix].split(":")
    return cast(FileReader, getattr(import_module(f"{_PACKAGE}.{module}"), function))
