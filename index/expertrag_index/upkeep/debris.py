"""Garbage collection: drops what a crash or an old generation has left behind."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

from expertrag_index.errors import StoreCorruptError, StoreNotFoundError
from expertrag_index.store.current import read_current
from expertrag_index.store.layout import Layout, parse_generation
from expertrag_index.store.opening import read_manifest
from expertrag_index.store.schema import (
    NEVER,
    UNSEALED,
    is_current,
    read_meta,
    read_seal,
    write_meta,
    write_origin,
)
from expertrag_index.store.seal import RowSums, adopt, read_sums, rows_where, write_seal
from expertrag_index.store.transaction import transaction

_VERSIONED = ("chunks", "documents", "groups")


def recover(layout: Layout, connection: sqlite3.Connection) -> int:
    """Drop everything newer than CURRENT; return the published generation, 0 for none.

    :raises StoreCorruptError: CURRENT is damaged, or the database is older than it.
    """
    try:
        current = read_current(layout)
    except StoreNotFoundError:
        current = 0
    meta = read_meta(connection)
    if meta.staged < current:
        raise StoreCorruptError(f"{layout.database} is older than CURRENT")
    with transaction(connection):
        sums = None
        if meta.staged > current:
            sums = _without_staged(connection, current, meta.staged)
            write_meta(connection, staged=current, oldest=meta.oldest)
            _restore_origin(layout, connection, current)
        for table in _VERSIONED:
            connection.execute(f"DELETE FROM {table} WHERE added_in > ?", (current,))
            connection.execute(
                f"UPDATE {table} SET removed_in = ? WHERE removed_in > ? AND removed_in < ?",
                (NEVER, current, NEVER),
            )
        if sums is not None:
            write_seal(connection, sums)
    adopt(connection)
    sweep(layout, current, meta.oldest)
    return current


def _without_staged(connection: sqlite3.Connection, current: int, staged: int) -> RowSums | None:
    """Return the sums of the published rows, from those that also have staged ones.

    None if there is no seal, in an earlier format, or a damaged one, which stays as it is.
    """
    if not is_current(connection) or read_seal(connection)[0] == UNSEALED:
        return None
    try:
        sums = read_sums(connection)
    except StoreCorruptError:
        return None
    ended = "added_in <= ? AND removed_in > ? AND removed_in < ?", (current, current, NEVER)
    return (
        sums
        - rows_where(connection, "added_in > ? AND added_in <= ?", (current, staged))
        - rows_where(connection, *ended)
        + rows_where(connection, *ended, as_live=True)
    )


def _restore_origin(layout: Layout, connection: sqlite3.Connection, current: int) -> None:
    """Restore the embedder of the published generation: a killed migration has replaced it."""
    if not current:
        return
    with contextlib.suppress(StoreCorruptError):  # a repair restores it from another generation
        manifest = read_manifest(layout, current)
        write_origin(connection, manifest.embedder, manifest.chunker)


def purge(connection: sqlite3.Connection, oldest: int) -> RowSums:
    """Drop the rows that only generations before ``oldest`` can see, and their vectors.

    Runs inside the caller's transaction, which then writes ``oldest`` and the seal; returns the
    sums of what was dropped.
    """
    dropped = rows_where(connection, "removed_in <= ?", (oldest,))
    connection.execute(
        """DELETE FROM vectors WHERE content_hash IN
        (SELECT content_hash FROM chunks WHERE removed_in <= ?1) AND NOT EXISTS
        (SELECT 1 FROM chunks c WHERE c.content_hash = vectors.content_hash AND c.removed_in > ?1)
        """,
        (oldest,),
    )
    for table in _VERSIONED:
        connection.execute(f"DELETE FROM {table} WHERE removed_in <= ?", (oldest,))
    return dropped


def drop_unused_vectors(connection: sqlite3.Connection) -> None:
    """Drop the vectors of no chunk, which killed builds have left for their next run."""
    connection.execute(
        """DELETE FROM vectors WHERE NOT EXISTS
        (SELECT 1 FROM chunks c WHERE c.content_hash = vectors.content_hash)"""
    )


def sweep(layout: Layout, generation: int, oldest: int = 0) -> None:
    """Delete the manifests and derived files that neither ``generation`` nor the one before use.

    :param oldest: the oldest generation whose rows are there; a killed writer may have dropped
        the rows of the one before.
    """
    keep = {generation, max(generation - 1, oldest)}
    for folder in layout.generations.iterdir():
        number = parse_generation(folder.name)
        if number is None or number > generation:  # was never published
            shutil.rmtree(folder)
    numbers = layout.generation_numbers()
    try:
        manifests = [read_manifest(layout, number) for number in numbers if number in keep]
    except StoreCorruptError:
        return  # an older manifest may tell what this one did, and which files are used
    for number in numbers:
        if number not in keep:
            shutil.rmtree(layout.generation(number))
    used = {entry.file for manifest in manifests for entry in manifest.files}
    for file in layout.segments.iterdir():
        if file.is_dir():  # of a check that was killed
            shutil.rmtree(file)
        elif file.name not in used:
            file.unlink()
