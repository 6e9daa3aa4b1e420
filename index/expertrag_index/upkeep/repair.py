"""Repairs a store: rebuilds everything that is derived from the rows of the database.

A document with a damaged row is removed. The next build adds it again from its file, the only place
where it is still intact.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

from expertrag_index.build.publish import Inputs, derive, publish, tidy
from expertrag_index.build.settings import WriterSettings
from expertrag_index.engines.placement import Placement
from expertrag_index.errors import StoreCorruptError
from expertrag_index.search.segments import read_probed_shares
from expertrag_index.store.current import read_current, write_current
from expertrag_index.store.groups import mend_groups
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import JSON, EmbedderEntry, Manifest
from expertrag_index.store.opening import read_manifest
from expertrag_index.store.schema import NEVER, read_meta, read_origin, write_meta, write_origin
from expertrag_index.store.seal import write_seal
from expertrag_index.store.transaction import transaction
from expertrag_index.upkeep.checks import DamagedDocument, check_derived
from expertrag_index.upkeep.debris import recover


def repair(
    layout: Layout, connection: sqlite3.Connection, damaged: Sequence[DamagedDocument]
) -> None:
    """Publish a generation with all derived files rebuilt, without the damaged documents.

    :raises StoreCorruptError: the database is older than CURRENT, so documents are missing.
    """
    _restore_current(layout, connection)
    current = recover(layout, connection)
    generation = current + 1
    rows = [(document.row,) for document in damaged]
    with transaction(connection):
        _restore_origin(layout, connection, current)
        mend_groups(connection, generation)
        connection.execute("REINDEX")
        connection.executemany("DELETE FROM documents WHERE row = ?", rows)
        connection.execute("DELETE FROM chunks WHERE document NOT IN (SELECT row FROM documents)")
        write_meta(connection, staged=generation, oldest=generation - 1)
        write_seal(connection)
    last = _last_manifest(layout)
    probed = read_probed_shares(last.segments if last else ())
    manifest = derive(
        layout,
        connection,
        generation,
        None,
        WriterSettings(),
        Inputs(vectors=Placement(last.engine if last else None, moved=True), probed=probed),
    )
    calibration = _last_calibration(layout, manifest.embedder)
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


def _restore_origin(layout: Layout, connection: sqlite3.Connection, current: int) -> None:
    """Write into the database which embedder made the vectors of the published generation.

    Its own manifest says so; if that is damaged, the database. Another generation is asked only if
    a killed migration has also replaced that: a published migration may lie in between.
    """
    for number in (current, None, *layout.generation_numbers()):
        try:
            manifest = None if number is None else read_manifest(layout, number)
        except StoreCorruptError:
            continue
        origin = (manifest.embedder, manifest.chunker) if manifest else read_origin(connection)
        if origin and _fits(connection, origin[0]):
            write_origin(connection, *origin)
            return


def _fits(connection: sqlite3.Connection, embedder: EmbedderEntry) -> bool:
    """Whether the stored vectors have the dimension of an embedder."""
    row = connection.execute(
        """SELECT length(v.embedding) FROM chunks c JOIN vectors v
        ON v.content_hash = c.content_hash WHERE c.removed_in = ? LIMIT 1""",
        (NEVER,),
    ).fetchone()
    return row is None or row[0] == 2 * embedder.dimension  # fp16


def _last_manifest(layout: Layout) -> Manifest | None:
    for number in layout.generation_numbers():
        with contextlib.suppress(StoreCorruptError):
            return read_manifest(layout, number)
    return None


def _last_calibration(layout: Layout, embedder: EmbedderEntry) -> Mapping[str, JSON]:
    for number in layout.generation_numbers():
        with contextlib.suppress(StoreCorruptError):
            manifest = read_manifest(layout, number)
            if manifest.embedder.fingerprint == embedder.fingerprint:
                return manifest.calibration
    return {}  # the next build calibrates again
