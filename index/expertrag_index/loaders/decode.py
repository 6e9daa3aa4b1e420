"""Decodes bytes to text. Invalid bytes are reported, never replaced, which would hide damage."""

from __future__ import annotations

import codecs

from expertrag_index.loaders.base import Report, Unreadable
from expertrag_index.loaders.encodings import detect

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before the mark of UTF-16, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MEANT = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030",
    "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "cp950", "tis-620": "cp874",
}  # fmt: skip
"""What texts are in that declare an encoding: browsers read them so, by the Encoding Standard."""
_BINARY = "\0"
UTF_8 = ("utf-8", "utf-8-sig")


def decode(data: bytes, declared: str | None = None, report: Report | None = None) -> str:
    """Decode a file or a line, and convert line ends to newlines.

    :param declared: the encoding that the file declares. If it declares none, it is UTF-8, or what
        :func:`detect` finds if a report can be given.
    :param report: told the encoding if it is neither UTF-8 nor declared.
    :raises Unreadable: bytes that are invalid in the encoding, or binary content.
    """
    encoding = marked(data) or declared
    if encoding is None and report is not None:
        encoding = detect(data) or "utf-8"
        note_encoding(encoding, report)
    encoding = encoding or "utf-8"
    text = _BINARY if encoding == "utf-8" and b"\0" in data else _text(data, encoding)
    if "\0" in text:
        raise Unreadable(
            "binary content (it contains NUL bytes)",
            "convert it to UTF-8 text, or give it the suffix of its real type",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def marked(data: bytes) -> str | None:
    """Return the encoding that the first bytes of a text name; None if they name none."""
    return next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), None)


def note_encoding(encoding: str, report: Report) -> None:
    """Report an encoding that was detected, unless it is UTF-8."""
    if encoding not in UTF_8:
        name = codecs.lookup(encoding).name.upper()
        cure = "if its letters are wrong, convert it: iconv -f ACTUAL -t UTF-8 FILE > NEW"
        report(f"it is not UTF-8 and was read as {name}", cure, notice=True)


def _text(data: bytes, encoding: str) -> str:
    try:
        meant = _MEANT.get(codecs.lookup(encoding).name)
        if meant:
            try:
                return data.decode(meant)
            except UnicodeDecodeError:
                pass
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise not_decodable(data, encoding, error.start) from None
    except LookupError:
        raise Unreadable(
            f"declares the unknown encoding {encoding}", "convert it to UTF-8, and say so in it"
        ) from None


def not_decodable(data: bytes, encoding: str, position: int) -> Unreadable:
    """Return the error with the first invalid byte and the command that converts the file."""
    name = encoding.removesuffix("-sig").upper()
    return Unreadable(
        f"not valid {name}: byte 0x{data[position]:02x} at offset {position}",
        "convert it: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW (with its actual encoding)",
    )
