"""Decodes the heads of an e-mail: encoded words (RFC 2047), and bytes that declare nothing.

Python's own parser of heads takes seconds for a long one and loses what is neither ASCII nor UTF-8.
"""

from __future__ import annotations

import binascii
import re
from email.message import Message
from email.utils import parsedate_to_datetime

from expertrag_index.loaders.base import Unreadable
from expertrag_index.loaders.decode import decode

_ENCODED = re.compile(r"=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")


def head_of(message: Message, name: str) -> str:
    """Return a head on one line; empty if there is none."""
    own = (value for key, value in message.raw_items() if key.lower() == name)
    return decode_head(str(next(own, "")))


def date_of(message: Message) -> str:
    """Return the date in the form of ISO 8601, or as it is written if it is not one."""
    written = head_of(message, "date")
    try:
        return parsedate_to_datetime(written).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return written


def decode_head(raw: str) -> str:
    """Decode a head or a file name, whose bytes beyond ASCII are surrogate escapes."""
    text = raw if raw.isascii() else _text(raw.encode("utf-8", "surrogateescape"), None)
    pieces: list[str] = []
    charset, data, end = "", bytearray(), 0
    for word in _ENCODED.finditer(text):
        between = text[end : word.start()]
        if between.strip() or word[1].lower() != charset:
            pieces += [_text(bytes(data), charset), between if between.strip() or not end else ""]
            charset, data = word[1].lower(), bytearray()
        data += _bytes(word[3], word[2].lower())
        end = word.end()
    pieces += [_text(bytes(data), charset), text[end:]]
    return " ".join("".join(pieces).replace("\0", "").split())


def _bytes(content: str, form: str) -> bytes:
    data = content.encode("ascii", "ignore")
    if form == "q":
        return binascii.a2b_qp(data, header=True)
    try:
        return binascii.a2b_base64(data + b"==")
    except binascii.Error:
        return data


def _text(data: bytes, charset: str | None) -> str:
    try:
        return decode(data, charset, lambda *_, **__: None) if data else ""
    except Unreadable:
        return data.decode("utf-8", "replace")
