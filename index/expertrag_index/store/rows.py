"""Row hashes of the database, and reading rows with the hash checked.

Hashes are BLAKE2b. Every field is prefixed with its length, so that moving a character from one
field to the next changes the hash.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from expertrag_index.errors import StoreCorruptError
from expertrag_index.search.vector_rows import HalfArray
from expertrag_index.store.schema import LABELS, PAGES
from expertrag_index.types import Chunk, Document, FloatArray, KeyArray, MetadataValue

SELECT_CHUNKS = """
SELECT c.key, c.added_in, c.document, c.ordinal, c.start, c."end", c.content_hash, c.expert,
       c.checksum, c.title, c.text, d.checksum, d.added_in, d.id, d.hash, d.text_hash, d.source,
       d.title, d.domain, d.metadata
FROM chunks c JOIN documents d ON d.row = c.document
"""

_length = struct.Struct("<Q").pack


def digest(*fields: object, size: int = 16) -> bytes:
    """Hash fields of any simple type to ``size`` bytes."""
    parts: list[bytes] = []
    for field in fields:
        data = field if isinstance(field, bytes) else repr(field).encode("utf-8", "surrogatepass")
        parts += (_length(len(data)), data)
    # one call: half the time of an update for each part
    return hashlib.blake2b(b"".join(parts), digest_size=size).digest()


def text_digest(text: str) -> bytes:
    """Hash a document's text."""
    return digest(str(text).encode())  # a damaged row may hold something other than a string


def dump_metadata(document: Document) -> str:
    """Serialise a document's metadata, access labels and pages to canonical JSON."""
    stored = dict(document.metadata)
    if document.labels:
        stored[LABELS] = sorted(set(document.labels))
    if document.page_starts:
        stored[PAGES] = list(document.page_starts)
    return json.dumps(stored, sort_keys=True, ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True)
class StoredMetadata:
    """What ``dump_metadata`` stores of a document."""

    metadata: dict[str, MetadataValue]
    labels: tuple[str, ...]
    page_starts: tuple[int, ...]


def parse_metadata(stored: str) -> StoredMetadata:
    """Return the metadata, access labels and pages of a stored document."""
    metadata: dict[str, Any] = json.loads(stored)
    labels, pages = metadata.pop(LABELS, ()), metadata.pop(PAGES, ())
    return StoredMetadata(metadata, tuple(labels), tuple(pages))


def document_digest(document: Document, chunker: str) -> bytes:
    """Hash everything that determines whether a document must be stored again."""
    return digest(
        text_digest(document.text),
        document.title,
        document.domain,
        document.source,
        dump_metadata(document),
        chunker,
    )


def content_digest(fingerprint: str, text: str) -> bytes:
    """Return the address of a vector: a hash of the text and of base model plus expert."""
    return digest(fingerprint, text.encode())


def row_digest(*columns: object) -> bytes:
    """Compute the checksum of a row's columns."""
    return digest(*columns, size=8)


def chunk_from_row(row: Sequence[object]) -> Chunk:
    """Build the chunk from a row of ``SELECT_CHUNKS``.

    :raises StoreCorruptError: the row does not match its checksum.
    """
    key, added, document, ordinal, start, end, content, expert, checksum, title, text = row[:11]
    if checksum != row_digest(added, document, ordinal, start, end, content, expert, title, text):
        raise StoreCorruptError(f"chunk row {key} is damaged")
    _, identifier, _, _, source, _, domain, metadata = document_columns(document, row[11:])
    stored = parse_metadata(str(metadata))
    first = bisect_right(stored.page_starts, int(str(start)))
    last = bisect_left(stored.page_starts, int(str(end)))
    return Chunk(
        document_id=str(identifier),
        ordinal=int(str(ordinal)),
        text=str(text),
        start=int(str(start)),
        end=int(str(end)),
        title=str(title),
        domain=None if domain is None else str(domain),
        source=str(source),
        metadata=stored.metadata,
        page=max(1, first) if stored.page_starts else None,
        page_starts=stored.page_starts[first:last],
    )


def document_columns(row: object, columns: Sequence[object]) -> Sequence[object]:
    """Return the columns of ``documents`` that are covered by its checksum, which is the first.

    They are added_in, id, hash, text_hash, source, title, domain and metadata.

    :raises StoreCorruptError: they do not match it.
    """
    checksum, *covered = columns
    if checksum != row_digest(*covered):
        raise StoreCorruptError(f"document row {row} is damaged")
    return covered


def pack_vectors(vectors: FloatArray) -> list[bytes | None]:
    """Pack vectors [N, D] as little-endian fp16 of unit length; None if zero or not finite."""
    finite = np.isfinite(vectors).all(axis=1)
    with np.errstate(all="ignore"):
        # one by one: a sum over an axis rounds differently, and equal texts keep equal bytes
        norms = np.sqrt(np.array([vector.dot(vector) for vector in vectors], np.float32))
        packed = (vectors / norms[:, None]).astype("<f2")
    stored = (finite & np.isfinite(norms) & (norms >= 1e-6)).tolist()
    return [row.tobytes() if keep else None for row, keep in zip(packed, stored, strict=True)]


def texts_of(connection: sqlite3.Connection, keys: KeyArray) -> list[str]:
    """Read the texts of chunks, by ascending key; their checksums are not compared."""
    rows = connection.execute(
        "SELECT text FROM chunks WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key",
        (json.dumps(keys.tolist()),),
    )
    return [str(text) for (text,) in rows]


class StoredVectors:
    """The vectors in the database, from which all segments can be made again."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def read_vectors(self, keys: KeyArray) -> HalfArray:
        """Read the vectors [N, D] of chunks, in the order of ``keys`` (at least one).

        :raises StoreCorruptError: a vector is missing or does not match its checksum.
        """
        query = """SELECT c.key, v.content_hash, v.checksum, v.embedding
            FROM json_each(?) j JOIN chunks c ON c.key = j.value
            JOIN vectors v ON v.content_hash = c.content_hash"""
        blobs: dict[int, bytes] = {}
        rows = self._connection.execute(query, (json.dumps(keys.tolist()),))
        for key, content, checksum, blob in rows:
            if checksum != row_digest(content, blob):
                raise StoreCorruptError(f"the vector of chunk {key} is damaged")
            blobs[key] = blob
        try:
            data = b"".join(blobs[key] for key in keys.tolist())
        except KeyError as error:
            raise StoreCorruptError(f"the vector of chunk {error} is missing") from None
        return np.frombuffer(data, "<f2").reshape(len(keys), -1)
