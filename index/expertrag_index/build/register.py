"""Which documents a run has seen, and which of the store's documents they are."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Sequence

from expertrag_index.build.seen import SeenDocuments
from expertrag_index.store.schema import NEVER
from expertrag_index.store.unstorable import unstorable
from expertrag_index.types import Document, LoadFailure


class DocumentRegister:
    """The documents that a run has seen, and how they relate to the published ones."""

    def __init__(self, connection: sqlite3.Connection, generation: int) -> None:
        """Begin with no document; ``generation`` is the next one."""
        self._connection = connection
        self._generation = generation
        self._seen = SeenDocuments(connection)

    def add(self, document: Document) -> None:
        """Register a document that is to be in the next generation."""
        self._seen.add(document.id, document.source)

    def find_problem(self, document: Document) -> LoadFailure | None:
        """Return why a document cannot be stored; None if it can."""
        source = document.source or document.id
        if not document.id:
            return LoadFailure(source, "the document has no id", "give it one")
        if not document.text.strip():
            return LoadFailure(
                source, "the document has no text", "add text or remove it", document.id
            )
        if (failure := unstorable(document, source)) is not None:
            return failure
        first = self._seen.source_of(document.id)
        if first is not None:
            return LoadFailure(
                source,
                f"id {document.id!r} is already used by {first or 'an earlier document'}; "
                "this document was skipped",
                "give every document a unique id",
                document.id,
            )
        return None

    def find_owner(self, document: Document, moving: Collection[str]) -> LoadFailure | None:
        """Return the failure of a document whose id another document has; None if it has none.

        :param moving: documents of these sources give their ids away.
        """
        query = "SELECT source FROM documents WHERE id = ? AND removed_in = ? AND added_in < ?"
        row = self._connection.execute(query, (document.id, NEVER, self._generation)).fetchone()
        if row is None or row[0] == document.source or row[0] in moving:
            return None
        return LoadFailure(
            document.source or document.id,
            f"id {document.id!r} belongs to {row[0] or 'another document'}, which was kept",
            "delete that document first, or build one folder that contains both",
            document.id,
        )

    def read_hash(self, identifier: str) -> bytes | None:
        """Return the digest of a published document; None if there is none of this id."""
        if self._generation == 1:
            return None
        query = "SELECT hash FROM documents WHERE id = ? AND removed_in = ? AND added_in < ?"
        row = self._connection.execute(query, (identifier, NEVER, self._generation)).fetchone()
        return None if row is None else bytes(row[0])

    def find_vanished(
        self, failures: Sequence[LoadFailure], sources: Collection[str] | None = None
    ) -> list[int]:
        """Return the rows of published documents that were not seen again, unless they failed.

        :param sources: only documents of these; None for all.
        """
        if sources is not None and not sources:
            return []
        failures = [each for each in failures if not each.notice]
        protected = [failure.source for failure in failures if failure.source]
        failed_ids = {failure.document_id for failure in failures}
        rows = self._connection.execute(
            "SELECT row, id, source FROM documents WHERE removed_in = ? AND added_in < ?",
            (NEVER, self._generation),
        )
        return [
            row
            for row, identifier, source in rows
            if (sources is None or source in sources)
            and self._seen.source_of(identifier) is None
            and identifier not in failed_ids
            and not any(_covers(failed, source) for failed in protected)
        ]


def _covers(failed: str, source: str) -> bool:
    """Whether a document's source is the file that failed, or is in the folder that failed."""
    return source == failed or source.startswith(failed.rstrip(os.sep) + os.sep)
