"""Streams the lines of a file that may be huge or compressed, one line in memory at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from expertrag_index.loaders.base import SourceFile, Unreadable

_LARGEST_RATIO = 200  # JSON compresses 5 to 20 times, a zip bomb 1,000 times


def bounded_lines(file: SourceFile) -> Iterator[tuple[int, bytes | None]]:
    """Read the lines of a file, ``.gz`` or not.

    :return: pairs ``(line number from 1, line)``; the line is None if it exceeds the limit.
    :raises Unreadable: the file is empty, damaged, or a decompression bomb.
    """
    if not file.is_packed:
        with file.path.open("rb") as plain:
            yield from _bounded(plain, file.max_bytes)
        return
    most_bytes = max(file.max_bytes, file.path.stat().st_size * _LARGEST_RATIO)
    with gzip.open(file.path) as unpacked:
        try:
            for item in _bounded(cast(BinaryIO, unpacked), file.max_bytes):
                if unpacked.tell() > most_bytes:
                    reason = f"it expands to more than {_LARGEST_RATIO} times its size"
                    raise Unreadable(reason, "unpack it yourself if you trust it")
                yield item
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise Unreadable(
                "the gzip file is damaged or truncated", "download or create it again"
            ) from None


def _bounded(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while line := stream.readline(max_bytes + 1):
        number += 1
        too_long = len(line) > max_bytes
        while len(line) > max_bytes and not line.endswith(b"\n"):
            line = stream.readline(max_bytes + 1)  # skip it, a part at a time
        yield number, None if too_long else line
    if number == 0:
        raise Unreadable("the file is empty", "add content to it or delete it")
