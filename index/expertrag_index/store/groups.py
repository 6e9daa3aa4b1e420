"""Groups of documents that one embedding expert serves: their names and their rows in the store."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection

from expertrag_index.errors import StoreCorruptError
from expertrag_index.loaders.registry import is_collection
from expertrag_index.store.manifest import GENERAL
from expertrag_index.store.rows import row_digest
from expertrag_index.store.schema import LIVE, NEVER
from expertrag_index.types import Group


def group_of(domain: str | None, source: str) -> str:
    """Name the group of a document: its domain label; without one, the folder of its source.

    A file that holds many documents is its own group, and so is a source that is not a file.
    """
    if domain:
        return domain
    folder, name = os.path.split(source)
    return f"from {source if not folder or is_collection(name) else folder}"


def assign_by_name(name: str, experts: Collection[str]) -> Group | None:
    """Assign a group to the expert of the same name; None if the router must choose."""
    return Group(name, name) if name == GENERAL or name in experts else None


def read_groups(connection: sqlite3.Connection, generation: int) -> dict[str, Group]:
    """Read the groups of a generation, by name.

    :raises StoreCorruptError: a row does not match its checksum.
    """
    rows = connection.execute(
        f"""SELECT g.added_in, g.name, g.expert, g.share, g.documents, g.evidence, g.checksum
        FROM groups g WHERE {LIVE.format("g")} ORDER BY g.name""",
        (generation, generation),
    )
    groups = {}
    for *columns, checksum in rows:
        if checksum != row_digest(*columns):
            raise StoreCorruptError(f"the row of group {columns[1]!r} is damaged")
        _, name, expert, share, documents, evidence = columns
        groups[name] = Group(name, expert, share, documents, json.loads(evidence))
    return groups


def write_groups(
    connection: sqlite3.Connection, generation: int, groups: Collection[Group]
) -> None:
    """Add groups to a generation inside the caller's transaction."""
    for group in groups:
        evidence = json.dumps(dict(group.evidence), sort_keys=True)
        columns = (
            generation,
            group.name,
            group.expert,
            float(group.share),
            group.documents,
            evidence,
        )
        connection.execute(
            """INSERT INTO groups (added_in, name, expert, share, documents, evidence, checksum)
            VALUES (?, ?, ?, ?, ?, ?, ?)""",
            (*columns, row_digest(*columns)),
        )


def end_groups(connection: sqlite3.Connection, generation: int, *, keep: Collection[str]) -> None:
    """End the groups of earlier generations that are not among ``keep``."""
    connection.execute(
        """UPDATE groups SET removed_in = ?1 WHERE added_in < ?1 AND removed_in = ?2
        AND name NOT IN (SELECT value FROM json_each(?3))""",
        (generation, NEVER, json.dumps(sorted(keep))),
    )


def mend_groups(connection: sqlite3.Connection, generation: int) -> None:
    """Rewrite damaged rows in ``generation``, inside the caller's transaction.

    The expert of a group is read from its chunks; the evidence for the decision is lost.
    """
    damaged = [
        (row,)
        for row, checksum, *columns in connection.execute(
            """SELECT row, checksum, added_in, name, expert, share, documents, evidence
            FROM groups"""
        ).fetchall()
        if checksum != row_digest(*columns)
    ]
    if not damaged:
        return
    connection.executemany("DELETE FROM groups WHERE row = ?", damaged)
    known = read_groups(connection, generation)
    served = connection.execute(
        f"""SELECT DISTINCT d.domain, d.source, c.expert
        FROM documents d JOIN chunks c ON c.document = d.row WHERE {LIVE.format("d")}""",
        (generation, generation),
    ).fetchall()
    experts = {group_of(domain, source): expert for domain, source, expert in served}
    missing = [Group(name, experts[name]) for name in sorted(experts.keys() - known.keys())]
    write_groups(connection, generation, missing)
