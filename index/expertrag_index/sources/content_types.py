"""Chooses the loader of a page by its content type, and makes its encoding known."""

from __future__ import annotations

import codecs
import mimetypes
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from expertrag_index.loaders.base import Unreadable
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.registry import DOCUMENT_SUFFIXES, SUFFIXES, suffix_of

_SUFFIXES = {
    "application/epub+zip": ".epub",
    "application/json": ".json",
    "application/jsonl": ".jsonl",
    "application/pdf": ".pdf",
    "application/vnd.oasis.opendocument.presentation": ".odp",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/x-ndjson": ".jsonl",
    "application/xhtml+xml": ".html",
    "message/rfc822": ".eml",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/plain": ".txt",
    "text/x-rst": ".rst",
}
_ANY = ("", "application/octet-stream", "binary/octet-stream")


def suffix_for(content_type: str, url: str) -> str:
    """Return the suffix whose loader reads a content type.

    Without a type, or with one that says nothing, the suffix of the URL's path decides; it also
    tells kinds of plain text apart.

    :raises Unreadable: no loader reads it.
    """
    kind = content_type.partition(";")[0].strip().lower()
    named = suffix_of(PurePosixPath(urlsplit(url).path).name)
    if kind in (*_ANY, "text/plain") and named in SUFFIXES:
        return named
    suffix = _SUFFIXES.get(kind) or mimetypes.guess_extension(kind)
    if suffix not in SUFFIXES:
        raise Unreadable(
            f"content type {kind or 'not given'} cannot be read",
            f"link to one of {' '.join(DOCUMENT_SUFFIXES)}",
        )
    return suffix


def with_encoding(body: bytes, content_type: str) -> bytes:
    """Return a text in UTF-8 with a byte-order mark if its header names another encoding.

    :raises Unreadable: it is not in that encoding.
    """
    kind, _, rest = content_type.partition(";")
    parameters = dict(part.strip().partition("=")[::2] for part in rest.lower().split(";"))
    name = parameters.get("charset", "").strip("\"' ")
    if not name or not kind.strip().lower().startswith("text/"):
        return body
    try:
        if codecs.lookup(name).name == "utf-8":
            return body
        return codecs.BOM_UTF8 + decode(body, name).encode()
    except LookupError:
        return body
    except Unreadable:
        raise Unreadable(
            f"is not in the encoding {name} that its header names", "correct the header"
        ) from None
