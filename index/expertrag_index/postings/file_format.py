"""The file of a segment of postings: a header with a table of sections, then the sections.

    V terms, P postings, B blocks of 128 postings (the last may be shorter), R rows (chunks)

    keys            int64 [R]      chunk keys, ascending: row -> key
    lengths         uint32 [R]     terms of each chunk, with repetitions
    vocabulary      uint8          the terms in UTF-8, ascending, without separators
    term_starts     uint64 [V+1]   where each term begins in ``vocabulary``
    posting_starts  uint64 [V+1]   where each term's postings begin
    rows            uint32 [P]     rows that contain the term, ascending
    counts          uint16 [P]     how often each does, at most 65,535
    block_counts    uint16 [B]     the highest count of a block
    block_lengths   uint32 [B]     the least length of its chunks

A block may hold postings of several terms. All is little-endian, each section aligned to 8 bytes
and padded with zeros. There is no checksum inside: the manifest has one of the whole file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

BLOCK = 128
"""Postings of a block, whose highest count and least length tell whether it can be skipped."""

MOST_COUNT = 65_535
"""Highest count of a term in a chunk; BM25 is saturated long before."""

SECTIONS: Mapping[str, np.dtype[np.generic]] = {
    "keys": np.dtype("<i8"),
    "lengths": np.dtype("<u4"),
    "vocabulary": np.dtype("u1"),
    "term_starts": np.dtype("<u8"),
    "posting_starts": np.dtype("<u8"),
    "rows": np.dtype("<u4"),
    "counts": np.dtype("<u2"),
    "block_counts": np.dtype("<u2"),
    "block_lengths": np.dtype("<u4"),
}

_MAGIC = b"ERAGPOST"
_VERSION = 1
_HEAD = struct.Struct("<8sII")
_ENTRY = struct.Struct("<QQ")  # offset, bytes
HEADER_BYTES = _HEAD.size + _ENTRY.size * len(SECTIONS)
_ALIGNMENT = 8


class MalformedFileError(ValueError):
    """A file is not a segment of postings, or a damaged one."""


def padding(size: int) -> int:
    """Return how many zeros follow a section of ``size`` bytes."""
    return -size % _ALIGNMENT


def header(sizes: Mapping[str, int]) -> bytes:
    """Write the header for sections of these sizes in bytes."""
    parts = [_HEAD.pack(_MAGIC, _VERSION, len(SECTIONS))]
    offset = HEADER_BYTES
    for name in SECTIONS:
        parts.append(_ENTRY.pack(offset, sizes[name]))
        offset += sizes[name] + padding(sizes[name])
    return b"".join(parts)


def parse(data: memoryview) -> dict[str, NDArray[np.generic]]:
    """Return the sections of a file, as views of ``data``.

    :raises MalformedFileError: the header is damaged, or belongs to a file of another size.
    """
    if len(data) < HEADER_BYTES or _HEAD.unpack_from(data) != (_MAGIC, _VERSION, len(SECTIONS)):
        raise MalformedFileError("it does not begin like one")
    sections: dict[str, NDArray[np.generic]] = {}
    end = HEADER_BYTES
    for position, (name, dtype) in enumerate(SECTIONS.items()):
        offset, size = _ENTRY.unpack_from(data, _HEAD.size + position * _ENTRY.size)
        if offset != end or size % dtype.itemsize or size > len(data) - offset:
            raise MalformedFileError(f"its section {name} is not where it should be")
        sections[name] = np.frombuffer(data[offset : offset + size], dtype)
        end = offset + size + padding(size)
    if end != len(data):
        raise MalformedFileError(f"it has {len(data)} bytes instead of {end}")
    return sections
