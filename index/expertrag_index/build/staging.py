"""Stages the rows of the next generation, invisible to every reader until it is published.

Documents are committed with their chunks once all their vectors exist, so that a crash leaves only
whole documents. The next writer drops them and reuses their vectors.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager, suppress

from expertrag_index.build.assignment import Assignment
from expertrag_index.build.chunk import Chunker
from expertrag_index.build.context import WriterContext
from expertrag_index.build.embedding import ChunkContent, EmbeddedBatch, EmbeddingWriter, content_of
from expertrag_index.build.register import DocumentRegister
from expertrag_index.build.spool import Spool
from expertrag_index.store.document_rows import ChunkedDocument, insert_documents
from expertrag_index.store.manifest import GENERAL, EmbedderEntry
from expertrag_index.store.rows import document_digest
from expertrag_index.store.schema import NEVER, write_meta, write_origin
from expertrag_index.store.seal import read_sums, rows_where, write_seal
from expertrag_index.store.transaction import transaction
from expertrag_index.types import Chunk, Document, LoadFailure
from expertrag_index.upkeep.debris import purge
from expertrag_index.words.posting_runs import PostingRuns

_READ_AHEAD_BYTES = 1 << 22
"""Text that is read before any is embedded: of short runs, the time left is then known."""

_COMMIT_S = 1.0
_PATIENCE_S = 0.005
"""A fast embedder lacks only the interpreter's lock, which it gets while this one waits."""


class Stage:
    """The changes of one run, collected in the database under the next generation's number."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        postings: PostingRuns,
        generation: int,
        chunker: Chunker,
        context: WriterContext,
        *,
        from_scratch: bool = False,
    ) -> None:
        """Start a generation; ``from_scratch`` assigns all groups of documents to experts again."""
        embedder, settings = context.embedder, context.settings
        self._connection = connection
        self.postings = postings
        self.generation = generation
        self._embedder = EmbedderEntry(embedder.name, embedder.fingerprint, embedder.dimension)
        self._fingerprints = {
            expert: embedder.fingerprint_of_expert(expert)
            for expert in (GENERAL, *embedder.experts)
        }
        self.assignment = Assignment(
            connection, generation, embedder, context.progress, from_scratch=from_scratch
        )
        self._experts = embedder.experts
        self._reading = True
        self._spool = Spool(connection)
        self._chunker = chunker
        self._vectors = EmbeddingWriter(
            connection, embedder, context.pool, settings.embed_batch, self._report_embedded
        )
        self._pool = context.pool
        self._batch = settings.embed_batch
        self._commit_chunks = settings.commit_chunks
        self._progress = context.progress
        self._register = DocumentRegister(connection, generation)
        self._pending: list[ChunkedDocument] = []
        self._pending_chunks = 0
        self._sent: deque[tuple[list[ChunkedDocument], list[EmbeddedBatch]]] = deque()
        self._complete: list[ChunkedDocument] = []
        self._complete_chunks = 0
        self._stored_at = time.monotonic()
        self._bytes = self._bytes_done = 0  # of the documents that were taken
        self.failures: list[LoadFailure] = []
        self.added = 0
        self.changed = 0
        self.unchanged = 0

    @property
    def embeddings(self) -> int:
        """Number of chunks that had to be embedded."""
        return self._vectors.embedded

    def take(
        self,
        documents: Iterable[Document],
        moving: Collection[str] | None,
        when_read: Callable[[], None],
    ) -> None:
        """Stage new and changed documents; those that cannot be stored become failures.

        :param moving: a document of another source replaces a stored one only if the stored one's
            source is among these; None for always.
        :param when_read: called when all documents are known; may raise.
        """
        with self.storing():
            self._read(documents, moving)
            when_read()
            self.assignment.decide()
            self._reading = False
            while self._spool:
                self._stage(*self._spool.pop())
        if self._bytes:
            self._progress("embed", self._bytes, self._bytes)

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Store what is put in this block, at its end at the latest.

        If an error ends the block, the vectors that have been made are stored all the same.
        """
        try:
            yield
            self._send()
            while self._sent:
                self._receive()
            self._store()
            self.postings.end()
        except BaseException:
            self.postings.close()
            self._vectors.give_up([batch for _, batches in self._sent for batch in batches])
            with suppress(sqlite3.Error), transaction(self._connection):
                self._vectors.store()
            raise

    def find_vanished(
        self, failures: Sequence[LoadFailure], sources: Collection[str] | None = None
    ) -> list[int]:
        """Return the rows of documents that were not seen again, unless their file failed.

        :param sources: only documents of these; None for all.
        """
        return self._register.find_vanished((*failures, *self.failures), sources)

    def rows_of(self, identifiers: Sequence[str]) -> list[int]:
        """Return the rows of documents by id; an unknown id becomes a failure."""
        rows = []
        for identifier in dict.fromkeys(identifiers):
            query = "SELECT row FROM documents WHERE id = ? AND removed_in = ?"
            row = self._connection.execute(query, (identifier, NEVER)).fetchone()
            if row is None:
                reason = f"no document {identifier!r} in the store"
                self.failures.append(LoadFailure(identifier, reason, "check the id", identifier))
            else:
                rows.append(int(row[0]))
        return rows

    def seal(self, removed: Sequence[int]) -> None:
        """Complete the generation inside the caller's transaction.

        Ends replaced versions and the documents in the rows ``removed``. Also drops the rows that
        only older generations than the published one can see. It is one transaction: a damaged log
        then loses all of a generation, which is noticed, and never its end alone.
        """
        execute, new = self._connection.execute, self.generation
        oldest = max(0, new - 1)
        sums = read_sums(self._connection) - purge(self._connection, oldest)
        execute(
            """UPDATE documents SET removed_in = ?1 WHERE added_in < ?1 AND removed_in = ?2
            AND row IN (SELECT value FROM json_each(?3) UNION
                SELECT old.row FROM documents n INDEXED BY documents_by_added_in
                CROSS JOIN documents old INDEXED BY documents_by_id ON old.id = n.id
                WHERE n.added_in = ?1 AND old.removed_in = ?2)""",
            (new, NEVER, json.dumps(list(removed))),
        )
        execute(
            """UPDATE chunks SET removed_in = ?1 WHERE +added_in < ?1 AND +removed_in = ?2
            AND document IN (SELECT row FROM documents WHERE removed_in = ?1)""",
            (new, NEVER),
        )
        self.assignment.seal(removed=bool(removed))
        write_origin(self._connection, self._embedder, self._chunker.fingerprint)
        ended = "removed_in = ? AND added_in < ?", (new, new)
        sums += rows_where(self._connection, "added_in = ?", (new,))
        sums += rows_where(self._connection, *ended)
        sums -= rows_where(self._connection, *ended, as_live=True)
        write_meta(self._connection, staged=new, oldest=oldest)
        write_seal(self._connection, sums)

    def _read(self, documents: Iterable[Document], moving: Collection[str] | None) -> None:
        """Read the documents into the spool; of many, stage the first ones meanwhile."""
        done = 0
        for done, document in enumerate(documents, 1):
            failure = self._register.find_problem(document)
            if failure is None and moving is not None:
                failure = self._register.find_owner(document, moving)
            if failure:
                self.failures.append(failure)
            else:
                self._register.add(document)
                self._take(document)
            self._progress("read", done, None)
            # experts are chosen when all documents are known; a short run is read to its end
            if self._bytes > _READ_AHEAD_BYTES and not self._experts:
                self._stage_some()
        self._progress("read", done, done)

    def _take(self, document: Document) -> None:
        digest = document_digest(document, self._chunker.fingerprint)
        if self._register.read_hash(document.id) == digest:
            self.unchanged += 1
            return
        if self.assignment.expert_of(document.domain, document.source) is None:
            self.assignment.look_at(document)
        self._spool.add(document, digest)
        self._bytes += len(document.text.encode())

    def _stage_some(self) -> None:
        """Stage spooled documents while this does not wait long for the embedder."""
        while self._spool:
            if len(self._sent) == self._pool.ahead:
                vectors = [batch.vectors for batch in self._sent[0][1]]
                if wait(vectors, _PATIENCE_S).not_done:
                    return
                self._receive()
            self._stage(*self._spool.pop())

    def _stage(self, document: Document, cut: bytes) -> None:
        expert = self.assignment.expert_of(document.domain, document.source)
        assert expert is not None, "its group must be decided"
        self.put(document, expert, self._chunker.split(document), cut)

    def _report_embedded(self, contents: Sequence[ChunkContent]) -> None:
        """Report progress in bytes; titles, which each chunk repeats, count a little extra."""
        if not self._bytes:
            return
        self._bytes_done += sum(len(content.text.encode()) for content in contents)
        if not self._reading:
            self._progress("embed", min(self._bytes_done, self._bytes - 1), self._bytes)

    def contents_of(self, chunks: Sequence[Chunk], expert: str) -> list[ChunkContent]:
        """Return what an expert encodes for chunks."""
        return [content_of(chunk, expert, self._fingerprints[expert]) for chunk in chunks]

    def put(self, document: Document, expert: str, chunks: list[Chunk], cut: bytes) -> None:
        """Stage a document that is already chunked, in the partition of an expert.

        :param cut: its digest with the chunker that split it.
        """
        contents = self.contents_of(chunks, expert)
        self._pending.append(ChunkedDocument(document, expert, chunks, contents, cut))
        self._pending_chunks += len(chunks)
        if self._pending_chunks >= self._batch:
            self._send()

    def _send(self) -> None:
        """Begin to embed the pending documents; wait for earlier ones if there are many."""
        while len(self._sent) >= self._pool.ahead:
            self._receive()
        contents = (content for each in self._pending for content in each.contents)
        self._sent.append((self._pending, self._vectors.begin(contents)))
        self._pending, self._pending_chunks = [], 0

    def _receive(self) -> None:
        """Wait for the vectors of the documents that were sent first."""
        documents, batches = self._sent[0]
        while batches:
            self._vectors.collect(batches[0])
            del batches[0]
            self._store_if_due()
        self._sent.popleft()
        for each in documents:
            if any(self._vectors.has_failed(content) for content in each.contents):
                self.failures.append(_no_vector(each.document))
                continue
            if self._register.read_hash(each.document.id) is None:
                self.added += 1
            else:
                self.changed += 1
            self._complete.append(each)
            self._complete_chunks += len(each.chunks)
        self._store_if_due()

    def _store_if_due(self) -> None:
        waiting = max(self._vectors.waiting, self._complete_chunks)
        if waiting >= self._commit_chunks or time.monotonic() > self._stored_at + _COMMIT_S:
            self._store()

    def _store(self) -> None:
        """Commit the vectors that have been made, and the documents whose vectors all are."""
        with transaction(self._connection):
            self._vectors.store()
            keys = insert_documents(self._connection, self.generation, self._complete)
        if keys:
            self.postings.add(keys[0], keys[-1])
        self._complete.clear()
        self._complete_chunks = 0
        self._stored_at = time.monotonic()


def _no_vector(document: Document) -> LoadFailure:
    return LoadFailure(
        document.source or document.id,
        f"document {document.id!r} has no finite embedding and was not stored",
        "check its text for binary or control characters",
        document.id,
    )
