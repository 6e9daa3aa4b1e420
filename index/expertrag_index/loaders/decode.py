"""Decodes bytes to text: UTF-8 whatever is declared, else what is declared, else what is detected.

A few damaged bytes cost a character each, which becomes U+FFFD, and a note; more are an error.
"""

from __future__ import annotations

import codecs

from expertrag_index.loaders.base import Report, Unreadable
from expertrag_index.loaders.encodings import (
    REPLACEMENT,
    damage_allowed,
    detect,
    detect_escapes,
    is_euc_tw,
    is_nearly_utf_8,
    is_utf_8,
    is_written,
    prefers,
)

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before the mark of UTF-16, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MEANT = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874",
    "tis-620": "cp874", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932",
    "euc_kr": "cp949", "big5": "cp950",
}  # fmt: skip
"""What texts are in that declare an encoding: browsers read them so, by the Encoding Standard."""
_LABELS = {
    "cn-big5": "big5", "cp-850": "cp850", "dos-874": "cp874", "iso-8859-8-e": "iso8859-8",
    "iso-8859-8-i": "iso8859-8", "koi": "koi8-r", "koi8": "koi8-r", "koi8-ru": "koi8-u",
    "logical": "iso8859-8", "mac": "mac_roman", "macroman": "mac_roman",
    "unicode-1-1-utf-8": "utf-8", "visual": "iso8859-8", "windows-31j": "cp932",
    "windows-874": "cp874", "windows-949": "cp949", "x-euc-jp": "euc_jp", "x-gbk": "gb18030",
    "x-mac-cyrillic": "mac_cyrillic", "x-mac-roman": "mac_roman",
    "x-mac-ukrainian": "mac_cyrillic", "x-sjis": "cp932", "x-x-big5": "big5",
}  # fmt: skip
"""Names in use that Python does not know."""
_OF_NAMES_AND_SOURCES = ("idna", "punycode", "unicode_escape", "raw_unicode_escape")
UTF_8 = ("utf-8", "utf-8-sig")


def decode(data: bytes, declared: str | None = None, report: Report | None = None) -> str:
    """Decode a file or a line, and convert line ends to newlines.

    :param declared: the encoding that the file declares. A declaration that the bytes contradict
        does not count.
    :param report: told the encoding if it is neither UTF-8 nor declared, and of damage. Without
        it, and without a declaration, every byte must be valid UTF-8.
    :raises Unreadable: bytes that are invalid in the encoding, or binary content.
    """
    strict = report is None and declared is None
    encoding = read_byte_order_mark(data) or ("utf-8" if strict else _fitting(data, declared))
    if encoding is None:
        encoding = detect(data) or "utf-8"
        if report is not None:
            note_encoding(encoding, report)
    text, is_valid = _text(data, encoding)
    if not is_valid or "\0" in text:
        text = text.replace("\0", REPLACEMENT)
        damage = text.count(REPLACEMENT) - data.count(REPLACEMENT.encode())
        if strict or damage > damage_allowed(data):
            raise _not_decodable(data, encoding)
        if report is not None:
            shown = f"damaged bytes are read as {REPLACEMENT} ({damage:,})"
            report(shown, f"correct them in the file, which is {_name(encoding)}", notice=True)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_byte_order_mark(data: bytes) -> str | None:
    """Return the encoding that the first bytes of a text name; None if they name none."""
    return next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), None)


def note_encoding(encoding: str, report: Report) -> None:
    """Report an encoding that was detected, unless it is UTF-8."""
    if encoding not in UTF_8:
        cure = "if its letters are wrong, convert it: iconv -f ACTUAL -t UTF-8 FILE > NEW"
        report(f"it is not UTF-8 and was read as {_name(encoding)}", cure, notice=True)


def _fitting(data: bytes, declared: str | None) -> str | None:
    """Return Python's name of the encoding that is declared or that the bytes themselves show.

    None if there is none, or the bytes contradict it.
    """
    encoding = detect_escapes(data) or _find_codec(declared)
    if encoding is None:
        return None
    if encoding.startswith(("utf-16", "utf-32")):
        return _byte_order(data, encoding)
    if data.isascii():
        return encoding
    if is_utf_8(data):
        return encoding if prefers(data, _MEANT.get(encoding, encoding)) else "utf-8"
    if encoding == "ascii":
        return None if detect(data) else encoding
    if is_nearly_utf_8(data):
        return "utf-8"
    text, is_valid = _text(data, encoding)
    if is_valid or (encoding != "utf-8" and text.count(REPLACEMENT) <= damage_allowed(data)):
        return encoding
    return None


def _byte_order(data: bytes, encoding: str) -> str | None:
    """Return UTF-16 or UTF-32 as the bytes show it: a declaration does not tell their order."""
    shown = detect(data) or ""
    if shown.startswith(("utf-16", "utf-32")):
        return shown
    encoding += "-le" if encoding in ("utf-16", "utf-32") else ""
    is_bytes = b"\0" not in data and (b" " in data or not is_written(data, encoding))
    return None if is_bytes else encoding  # such as a page that says in ASCII that it is UTF-16


def _find_codec(declared: str | None) -> str | None:
    label = (declared or "").strip().lower()
    try:
        encoding = codecs.lookup(_LABELS.get(label, label)).name
        "".encode(encoding)  # not a transformation such as "hex"
    except (LookupError, ValueError):  # a name may hold anything
        return None
    return None if encoding.replace("-", "_") in _OF_NAMES_AND_SOURCES else encoding


def _text(data: bytes, encoding: str) -> tuple[str, bool]:
    """Decode a text, and tell whether all of it is valid."""
    meant = _MEANT.get(encoding, encoding)
    for name in (meant, encoding):
        try:
            text = data.decode(name)
            text.encode()  # UTF-7 can hold half a character
        except UnicodeError:
            continue
        return text, True
    return data.decode(meant, "replace").encode("utf-8", "replace").decode(), False


def _not_decodable(data: bytes, encoding: str) -> Unreadable:
    """Return the error with the first invalid byte and the command that converts the file."""
    if is_euc_tw(data):
        cure = "convert it: iconv -f EUC-TW -t UTF-8 FILE > NEW"
        return Unreadable("the encoding EUC-TW cannot be read", cure)
    try:
        if b"\0" not in data:
            data.decode(encoding)
    except UnicodeDecodeError as error:
        at = error.start
        return Unreadable(
            f"not valid {_name(encoding)}: byte 0x{data[at]:02x} at offset {at}",
            "convert it: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW (with its actual encoding)",
        )
    return Unreadable(
        "binary content (it contains NUL bytes)",
        "convert it to UTF-8 text, or give it the suffix of its real type",
    )


def _name(encoding: str) -> str:
    return codecs.lookup(encoding).name.removesuffix("-sig").upper()
