"""Streams the lines of a file that may be huge or compressed, one line in memory at a time."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol, cast

from expertrag_index.loaders.base import (
    Report,
    SourceFile,
    Unreadable,
    make_gzip_error,
    too_large,
)
from expertrag_index.loaders.decode import UTF_8, decode, note_encoding, read_byte_order_mark
from expertrag_index.loaders.encodings import detect

_LARGEST_RATIO = 200  # JSON compresses 5 to 20 times, a zip bomb 1,000 times
_HEAD_BYTES = 1 << 20
"""What the encoding of a file is told by."""
_PIECE_BYTES = 1 << 16
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)


class _Lines(Protocol):
    def readline(self, size: int) -> bytes: ...


def decode_lines(file: SourceFile, report: Report) -> Iterator[tuple[int, str]]:
    """Read the lines of a file, ``.gz`` or not, as text.

    A line in another encoding than the file is read in its own, as exports that were joined have.

    :param report: told the encodings that are not UTF-8, and each line that cannot be read.
    :return: pairs ``(line number from 1, line)``.
    :raises Unreadable: the file is empty, damaged, or a decompression bomb.
    """
    others: dict[str, list[int]] = {}  # what is to be noted, and of which lines
    for number, line in read_bounded_lines(file, report):
        try:
            if line is None:
                raise too_large("it", file.max_bytes)
            text = _decode(line, number, others)
        except Unreadable as error:
            report(f"line {number}: {error.reason}", error.cure)
            continue
        yield number, text
    for reason, numbers in others.items():
        more = f" and {len(numbers) - 1:,} more" if len(numbers) > 1 else ""
        report(f"line {numbers[0]}{more}: {reason}", "convert them to UTF-8", notice=True)


def _decode(line: bytes, number: int, others: dict[str, list[int]]) -> str:
    def note(reason: str, cure: str, *, notice: bool = False) -> None:
        del cure, notice  # the same for all lines
        others.setdefault(reason, []).append(number)

    try:
        return decode(line)  # of a million lines, nearly all
    except Unreadable:
        return decode(line, "utf-8", note)


def read_bounded_lines(file: SourceFile, report: Report) -> Iterator[tuple[int, bytes | None]]:
    """Read the lines of a file, ``.gz`` or not, in UTF-8.

    :param report: told the encoding of the file if it is not UTF-8.
    :return: pairs ``(line number from 1, line)``; the line is None if it exceeds the limit.
    :raises Unreadable: the file is empty, damaged, or a decompression bomb.
    """
    if not file.is_packed:
        with file.path.open("rb") as plain:
            yield from _read_bounded(_in_utf_8(plain, report), file.max_bytes)
        return
    most_bytes = max(file.max_bytes, file.path.stat().st_size * _LARGEST_RATIO)
    with gzip.open(file.path) as packed:
        unpacked = cast(BinaryIO, packed)
        try:
            for item in _read_bounded(_in_utf_8(unpacked, report), file.max_bytes):
                if unpacked.tell() > most_bytes:
                    reason = f"it expands to more than {_LARGEST_RATIO} times its size"
                    raise Unreadable(reason, "unpack it yourself if you trust it")
                yield item
        except _DAMAGED:
            raise make_gzip_error() from None


def _read_bounded(stream: _Lines, max_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while line := stream.readline(max_bytes + 1):
        number += 1
        too_long = len(line) > max_bytes
        while len(line) > max_bytes and not line.endswith(b"\n"):
            line = stream.readline(max_bytes + 1)  # skip it, a part at a time
        yield number, None if too_long else line
    if number == 0:
        raise Unreadable("the file is empty", "add content to it or delete it")


def _in_utf_8(stream: BinaryIO, report: Report) -> _Lines:
    """Return a stream of UTF-8: itself, or one that converts what it reads."""
    head, whole = _head(stream)
    stream.seek(0)
    encoding = read_byte_order_mark(head)
    if encoding is None:
        encoding = detect(head, whole=whole) or "utf-8"
        note_encoding(encoding, report)
    return stream if encoding in UTF_8 else _Converted(stream, encoding)


def _head(stream: BinaryIO) -> tuple[bytes, bool]:
    """Return the first bytes, and whether they are all; what is damaged is met again later."""
    head = bytearray()
    try:
        while len(head) < _HEAD_BYTES:
            piece = stream.read(_PIECE_BYTES)
            if not piece:
                return bytes(head), True
            head += piece
    except _DAMAGED:
        if not head:
            raise
    return bytes(head), False


class _Converted:
    """The lines of a text in another encoding, in UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._encoding = encoding
        self._text = io.TextIOWrapper(stream, encoding, newline="\n")  # ends lines at that alone

    def readline(self, size: int) -> bytes:
        try:
            return self._text.readline(size).encode()
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise Unreadable(
                f"not valid {self._encoding.upper()}: byte 0x{byte:02x}",
                "convert it: iconv -f ACTUAL -t UTF-8 FILE > NEW (with its actual encoding)",
            ) from None
