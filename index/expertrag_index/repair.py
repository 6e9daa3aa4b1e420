"""Repairs a store: rebuilds everything that is derived from the rows of the database.

A document with a damaged row is removed, and the next build adds it again from its file, the only
place where it is still intact.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

from expertrag_index.checks import DamagedDocument, check_derived
from expertrag_index.current import read_current, write_current
from expertrag_index.debris import recover
from expertrag_index.errors import StoreCorruptError
from expertrag_index.groups import mend_groups
from expertrag_index.layout import Layout
from expertrag_index.manifest import JSON
from expertrag_index.opening import read_manifest
from expertrag_index.publish import derive, publish, tidy
from expertrag_index.schema import read_meta, write_meta, write_origin
from expertrag_index.seal import write_seal
from expertrag_index.settings import WriterSettings
from expertrag_index.transaction import transaction


def repair(
    layout: Layout, connection: sqlite3.Connection, damaged: Sequence[DamagedDocument]
) -> None:
    """Publish a generation with all derived files rebuilt, without the damaged documents.

    :raises StoreCorruptError: the database is older than CURRENT, so documents are missing.
    """
    _restore_current(layout, connection)
    generation = recover(layout, connection) + 1
    rows = [(document.row,) for document in damaged]
    with transaction(connection):
        _restore_origin(layout, connection)
        mend_groups(connection, generation)
        connection.execute("REINDEX")
        connection.executemany("DELETE FROM documents WHERE row = ?", rows)
        connection.execute("DELETE FROM chunks WHERE document NOT IN (SELECT row FROM documents)")
        connection.execute("INSERT INTO chunks_fts (chunks_fts) VALUES ('rebuild')")
        write_meta(connection, staged=generation, oldest=generation - 1)
        write_seal(connection)
    manifest = derive(layout, connection, generation, None, WriterSettings())
    calibration = _last_calibration(layout)
    publish(layout, replace(manifest, calibration=calibration))
    _drop_damaged(layout, connection, generation)
    tidy(layout, connection, generation)


def _drop_damaged(layout: Layout, connection: sqlite3.Connection, generation: int) -> None:
    """Drop older generations that are damaged: they cannot serve as a fallback."""
    for number in layout.generation_numbers():
        if number < generation and check_derived(layout, connection, number):
            shutil.rmtree(layout.generation(number))


def _restore_current(layout: Layout, connection: sqlite3.Connection) -> None:
    """If CURRENT is damaged, point it to the newest generation whose rows are complete."""
    try:
        read_current(layout)
    except StoreCorruptError:
        staged = read_meta(connection).staged
        numbers = [number for number in layout.generation_numbers() if number <= staged]
        write_current(layout, numbers[0] if numbers else staged)


def _restore_origin(layout: Layout, connection: sqlite3.Connection) -> None:
    for number in layout.generation_numbers():
        try:
            manifest = read_manifest(layout, number)
        except StoreCorruptError:
            continue
        write_origin(connection, manifest.embedder, manifest.chunker)
        return


def _last_calibration(layout: Layout) -> Mapping[str, JSON]:
    for number in layout.generation_numbers():
        try:
            return read_manifest(layout, number).calibration
        except StoreCorruptError:
            continue
    return {}  # the next build calibrates again
