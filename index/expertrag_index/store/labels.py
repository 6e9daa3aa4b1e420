"""Access labels: which documents a restricted reader sees.

A document without labels is seen by every reader of the store; a document with labels only by
readers that have one of them. The labels of a document are stored with its metadata, so that its
checksum covers them. They are not a field that a filter or a passage shows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from expertrag_index.build.description import domains_of, fields_of
from expertrag_index.search.filters import Condition
from expertrag_index.search.selection import rows_by_partition
from expertrag_index.store.live import select_keys
from expertrag_index.store.schema import LABELS, LIVE

if TYPE_CHECKING:
    from expertrag_index.store.opening import Generation

_PATH = f'$."{LABELS}"'
_ADMITS = f"""(json_type(d.metadata, '{_PATH}') IS NULL
    OR EXISTS (SELECT 1 FROM json_each(d.metadata, '{_PATH}') l
               WHERE l.value IN (SELECT value FROM json_each(?))))"""


def has_labels(connection: sqlite3.Connection, generation: int, *, before: bool) -> bool:
    """Return whether any document of a generation has labels.

    :param before: whether any of the generation before had; if not, only new documents are read.
    """
    query = f"""SELECT 1 FROM documents d
        WHERE {LIVE.format("d")} AND d.added_in {"<=" if before else "="} ?
        AND json_type(d.metadata, '{_PATH}') IS NOT NULL LIMIT 1"""
    return connection.execute(query, (generation,) * 3).fetchone() is not None


def all_labels(connection: sqlite3.Connection, generation: int) -> frozenset[str]:
    """Return the labels that the documents of a generation have."""
    query = f"""SELECT DISTINCT l.value FROM documents d, json_each(d.metadata, '{_PATH}') l
        WHERE {LIVE.format("d")}"""
    return frozenset(str(row[0]) for row in connection.execute(query, (generation, generation)))


def select_visible(labels: Collection[str] | None) -> Condition:
    """Return the condition of the documents (alias ``d``) that a reader sees; None sees all."""
    if labels is None:
        return Condition("1", ())
    return Condition(_ADMITS, (json.dumps(sorted(labels)),))


def restrict(generation: Generation, labels: Collection[str]) -> Generation:
    """Return the part of a generation that a reader with these labels sees.

    Its manifest has the counts, fields and domains of this part.
    """
    number, seen = generation.manifest.generation, json.dumps(sorted(labels))
    with generation.pool.connection() as connection:
        generation.documents.ensure(connection, number)
        live = select_keys(
            connection,
            f"""SELECT c.key FROM documents d CROSS JOIN chunks c ON c.document = d.row
            WHERE {LIVE.format("c")} AND {_ADMITS}""",
            (number, number, seen),
        )
        (documents,) = connection.execute(
            f"SELECT count(*) FROM documents d WHERE {LIVE.format('d')} AND {_ADMITS}",
            (number, number, seen),
        ).fetchone()
        condition, values = f"{LIVE.format('d')} AND {_ADMITS}", (number, number, seen)
        fields = fields_of(connection, condition, values)
        domains = domains_of(connection, condition, values)
    rows = rows_by_partition(live, generation.partitions)
    partitions = {expert: live[part] for expert, part in rows.items()}
    manifest = replace(
        generation.manifest,
        documents=documents,
        chunks=len(live),
        partitions={expert: len(keys) for expert, keys in partitions.items()},
        field_counts=fields,
        domains=domains,
    )
    return replace(generation, manifest=manifest, live=live, partitions=partitions)
