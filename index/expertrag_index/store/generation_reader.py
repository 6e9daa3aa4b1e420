"""Reads what one generation of a store holds: its description, its documents and its texts."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from expertrag_index.errors import SearchError, StoreCorruptError
from expertrag_index.search.selection import rows_by_partition
from expertrag_index.search.vector_rows import vectors_of
from expertrag_index.store.catalog import Catalog
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.groups import read_groups
from expertrag_index.store.labels import all_labels
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import Manifest
from expertrag_index.store.opening import Generation, OpenParts
from expertrag_index.store.rows import SELECT_CHUNKS, StoredVectors, chunk_from_row, text_digest
from expertrag_index.store.schema import LIVE, Seal, read_seal
from expertrag_index.types import Chunk, FloatArray, Group, KeyArray


class GenerationReader:
    """The description and the texts of one published generation. Thread-safe."""

    def __init__(
        self, layout: Layout, generation: Generation, labels: Collection[str] | None
    ) -> None:
        """Read a generation.

        :param labels: the access labels of the reader; None for a reader who sees all.
        """
        self._layout = layout
        self._generation = generation
        self._seen_labels = None if labels is None else frozenset(labels)
        self._restricted = labels is not None
        self._pool = generation.pool
        self._lock = threading.Lock()
        self._labels: frozenset[str] | None = None

    @property
    def manifest(self) -> Manifest:
        """The manifest of the generation."""
        return self._generation.manifest

    @property
    def generation(self) -> int:
        """Number of this generation."""
        return self.manifest.generation

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        return self.manifest.embedder.dimension

    @property
    def size(self) -> int:
        """Number of live chunks."""
        return len(self._generation.live)

    @property
    def open_parts(self) -> OpenParts:
        """The vector files of the generation in memory; they stay valid when it is closed."""
        return self._generation.share_parts()

    @property
    def catalog(self) -> Catalog:
        """The documents of the generation; not kept: it would hold this index in a cycle."""
        return Catalog(
            self._layout,
            self._reading,
            self.manifest,
            self._generation.documents,
            self._seen_labels,
        )

    @property
    def newest_key(self) -> int:
        """Key of the chunk that was added last, 0 for none; later ones get higher keys."""
        return int(self._generation.live[-1]) if self.size else 0

    def newer_than(self, key: int) -> int:
        """Count the live chunks with a higher key."""
        return self.size - int(np.searchsorted(self._generation.live, key, side="right"))

    @property
    def size_bytes(self) -> int:
        """Bytes on disk: the database and the vector files of this generation.

        0 for a restricted index: they tell of documents that it does not hold.

        :raises StoreCorruptError: the database was deleted.
        """
        if self._restricted:
            return 0
        derived = sum(file.bytes for file in self.manifest.files)
        database = self._layout.database
        try:
            return database.stat().st_size + derived
        except FileNotFoundError:
            raise StoreCorruptError(f"{database} is missing: {self._layout.cure}") from None

    @property
    def degradation(self) -> str:
        """Why an older generation is in use and what to do; empty if this is the newest."""
        return self._generation.degradation

    @property
    def seal(self) -> Seal:
        """Which state of the database this is; compared when it was opened."""
        with self._reading() as connection:
            return read_seal(connection)

    def labels(self) -> frozenset[str]:
        """Return the access labels that documents of this generation have."""
        if not self.manifest.has_labels:
            return frozenset()
        with self._lock:
            if self._labels is None:
                with self._reading() as connection:
                    self._generation.documents.ensure(connection, self.generation)
                    self._labels = all_labels(connection, self.generation)
            return self._labels

    def groups(self) -> list[Group]:
        """Read which expert serves each group of documents; empty for a plain embedder."""
        with self._reading() as connection:
            return list(read_groups(connection, self.generation).values())

    def chunks(self, keys: Sequence[int]) -> list[Chunk]:
        """Read the chunks with these keys, in their order.

        :raises SearchError: a key is not in this store.
        :raises StoreCorruptError: a row does not match its checksum.
        """
        if self._restricted:
            self._rows_by_expert(np.asarray(keys, np.int64))
        marks = json.dumps([int(key) for key in keys])
        query = f"{SELECT_CHUNKS} WHERE c.key IN (SELECT value FROM json_each(?))"
        with self._reading() as connection:
            chunks = {row[0]: chunk_from_row(row) for row in connection.execute(query, (marks,))}
        missing = [key for key in keys if int(key) not in chunks]
        if missing:
            raise SearchError(f"no chunk {missing[0]} in {self._layout.root}")
        return [chunks[int(key)] for key in keys]

    def document_text(self, document_id: str) -> str:
        """Read the whole text of a document.

        :raises SearchError: this generation has no such document.
        :raises StoreCorruptError: the text does not match its checksum.
        """
        query = f"""SELECT d.text, d.text_hash,
            (SELECT c.key FROM chunks c WHERE c.document = d.row LIMIT 1)
            FROM documents d WHERE d.id = ? AND {LIVE.format("d")}"""
        values = (document_id, self.generation, self.generation)
        with self._reading() as connection:
            row = connection.execute(query, values).fetchone()
            if row is None or row[2] not in self._generation.live:
                raise SearchError(f"no document {document_id!r} in {self._layout.root}")
            if text_digest(row[0]) != row[1]:
                raise StoreCorruptError(f"document {document_id!r} is damaged")
        return str(row[0])

    def sample_chunks(
        self, n: int, seed: int = 0, expert: str | None = None
    ) -> list[tuple[int, Chunk]]:
        """Sample up to ``n`` distinct chunks with their keys; the same seed gives the same ones.

        :param expert: sample only this expert's partition; None samples all of them.
        """
        generation = self._generation
        live = generation.live if expert is None else generation.partitions[expert]
        chosen = np.random.default_rng(seed).permutation(len(live))[:n]
        keys = [int(live[i]) for i in chosen]
        return list(zip(keys, self.chunks(keys), strict=True))

    def read_vectors(self, keys: KeyArray) -> FloatArray:
        """Return the vectors [N, D] of chunks, of unit length, in the order of ``keys``.

        :raises StoreCorruptError: a vector is missing or damaged.
        """
        with self._reading() as connection:
            return vectors_of(StoredVectors(connection), keys)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with store_errors(self._layout), self._pool.connection() as connection:
            yield connection

    def _rows_by_expert(self, keys: KeyArray) -> dict[str, NDArray[np.intp]]:
        """Rows of ``keys`` by the expert of the chunk.

        :raises SearchError: a key is not in this generation.
        """
        rows = rows_by_partition(keys, self._generation.partitions)
        if sum(map(len, rows.values())) < len(keys):
            strange = np.setdiff1d(keys, self._generation.live)[0]
            raise SearchError(f"no chunk {strange} in {self._layout.root}")
        return rows
