"""Decodes bytes to text. Invalid bytes are reported, never replaced, which would hide damage."""

from __future__ import annotations

import codecs

from expertrag_index.loaders.base import Unreadable

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, declared: str | None = None) -> str:
    """Decode a file or a line, and convert line ends to newlines.

    :param declared: the encoding that the file declares; UTF-8 if it declares none.
    :raises Unreadable: bytes that are invalid in the encoding, or binary content.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), None)
    encoding = encoding or declared or "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise not_decodable(data, encoding, error.start) from None
    except LookupError:
        raise Unreadable(
            f"declares the unknown encoding {encoding}", "convert it to UTF-8, and say so in it"
        ) from None
    if "\0" in text:
        raise Unreadable(
            "binary content (it contains NUL bytes)",
            "convert it to UTF-8 text, or give it the suffix of its real type",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def not_decodable(data: bytes, encoding: str, position: int) -> Unreadable:
    """Return the error with the first invalid byte and the command that converts the file."""
    name = encoding.removesuffix("-sig").upper()
    return Unreadable(
        f"not valid {name}: byte 0x{data[position]:02x} at offset {position}",
        "convert it: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW (with its actual encoding)",
    )
