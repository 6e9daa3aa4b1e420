"""Migrates a store to another embedder: stages its documents again from their own rows.

Chunk boundaries do not change. Documents that would get the same vectors stay unchanged. Of the
others, only texts without a stored vector are embedded, so that a killed migration can be resumed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from expertrag_index.build.embedding import ChunkContent
from expertrag_index.build.staging import Stage
from expertrag_index.errors import DocumentError, StoreCorruptError
from expertrag_index.store.rows import parse_metadata, row_digest, text_digest
from expertrag_index.store.schema import NEVER
from expertrag_index.types import Chunk, Document, DocumentEmbedder, LoadFailure, Progress


@dataclass(frozen=True, slots=True)
class _Stored:
    """A live document with its chunks, and the expert and vector address of each chunk.

    ``cut``: the document's digest with the chunker that split it. A later build with another
    chunker splits it again.
    """

    document: Document
    cut: bytes
    chunks: list[Chunk]
    vectors: list[tuple[str, bytes]]


def restage(
    connection: sqlite3.Connection, stage: Stage, embedder: DocumentEmbedder, progress: Progress
) -> None:
    """Stage every document of a store whose vectors change.

    :raises StoreCorruptError: a row does not match its checksum.
    :raises DocumentError: a document gets no finite vector. It is not dropped as in a build,
        because its source may no longer exist.
    """
    rows = [
        int(row)
        for (row,) in connection.execute(
            "SELECT row FROM documents WHERE removed_in = ? AND added_in < ? ORDER BY row",
            (NEVER, stage.generation),
        )
    ]
    if embedder.experts:
        _decide(connection, stage, rows)
    longer = total = 0
    with stage.storing():
        for done, row in enumerate(rows, 1):
            stored = _read(connection, row)
            document = stored.document
            expert = stage.assignment.expert_of(document.domain, document.source)
            assert expert is not None, "all groups must be decided"
            total += len(stored.chunks)
            contents = stage.contents_of(stored.chunks, expert)
            if stored.vectors == [(expert, content.hash) for content in contents]:
                stage.unchanged += 1
            else:
                longer += _longer(contents, embedder)
                stage.put(document, expert, stored.chunks, stored.cut)
            progress("migrate", done, len(rows))
    if stage.failures:
        failed = sorted(failure.document_id for failure in stage.failures)
        raise DocumentError(
            f"{embedder.name} returns no finite vectors for {len(failed):,} documents "
            f"({failed[0]!r}): delete them, or choose another embedder; the store is unchanged"
        )
    if longer:
        stage.failures.append(_cut_short(longer, total, embedder))


def _decide(connection: sqlite3.Connection, stage: Stage, rows: Sequence[int]) -> None:
    for row in rows:
        document, _ = _document(connection, row)
        if stage.assignment.expert_of(document.domain, document.source) is None:
            stage.assignment.look_at(document)
    stage.assignment.decide()


def _read(connection: sqlite3.Connection, row: int) -> _Stored:
    document, cut = _document(connection, row)
    chunks, vectors = [], []
    for checksum, *columns in connection.execute(
        """SELECT checksum, added_in, document, ordinal, start, "end", content_hash, expert, title,
        text FROM chunks WHERE document = ? AND removed_in = ? ORDER BY ordinal""",
        (row, NEVER),
    ):
        _, _, ordinal, start, end, content, expert, title, text = columns
        if checksum != row_digest(*columns):
            raise StoreCorruptError(f"chunk {ordinal} of document {document.id!r} is damaged")
        chunks.append(Chunk(document.id, ordinal, text, start, end, title))
        vectors.append((expert, bytes(content)))
    return _Stored(document, cut, chunks, vectors)


def _document(connection: sqlite3.Connection, row: int) -> tuple[Document, bytes]:
    checksum, text, *columns = connection.execute(
        """SELECT checksum, text, added_in, id, hash, text_hash, source, title, domain, metadata
        FROM documents WHERE row = ?""",
        (row,),
    ).fetchone()
    _, identifier, cut, text_hash, source, title, domain, metadata = columns
    if checksum != row_digest(*columns) or text_digest(text) != text_hash:
        raise StoreCorruptError(f"document row {row} is damaged")
    stored = parse_metadata(metadata)
    document = Document(
        identifier,
        text,
        title,
        stored.metadata,
        domain,
        source,
        stored.labels,
        stored.page_starts,
    )
    return document, bytes(cut)


def _longer(contents: Sequence[ChunkContent], embedder: DocumentEmbedder) -> int:
    counts = embedder.count_tokens([content.text for content in contents])
    return sum(count > embedder.max_tokens for count in counts)


def _cut_short(longer: int, total: int, embedder: DocumentEmbedder) -> LoadFailure:
    return LoadFailure(
        embedder.name,
        f"{longer:,} of {total:,} chunks are longer than the {embedder.max_tokens} tokens that "
        "it reads: dense search covers only their beginning",
        "build the store again from its documents to chunk them for this embedder",
        notice=True,
    )
