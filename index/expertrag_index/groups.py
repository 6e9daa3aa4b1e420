"""Chooses the expert that serves documents, for groups of documents, never for a single text.

The router assigns half of the single texts of an untrained domain to some trained domain. Over many
documents of one kind such mistakes do not add up to one domain, so a group is decided with near
certainty.

    N documents, E experts; the last column of a posterior is "none of them"
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from expertrag_index.errors import StoreCorruptError
from expertrag_index.loaders.registry import is_collection
from expertrag_index.manifest import GENERAL
from expertrag_index.rows import row_digest
from expertrag_index.schema import LIVE, NEVER
from expertrag_index.types import FloatArray

SHARE = 0.5
"""Posterior mass that assigns a group to an expert: more likely than all else together.

Of data sets that a router does not know (`make bench-router`), most of a trained domain reach it;
most of an untrained domain do not, or are so close to a trained one (biomedicine to science) that
no bound excludes them.
"""

PRIOR_DOCUMENTS = 5.0
"""Weight, in documents, of the store's mean relative to a group's documents, and of "none" relative
to all documents: with posteriors of .95, three documents decide in a store of nothing else, and two
do not."""


@dataclass(frozen=True, slots=True)
class Group:
    """Documents that one expert serves.

    ``share``: the expert's share of the smoothed posterior, 1 if the label names the expert.
    ``documents``: number of documents that the router read, 0 if the label decided.
    ``evidence``: their mean posterior by expert, not smoothed, empty if the label decided.
    """

    name: str
    expert: str
    share: float = 1.0
    documents: int = 0
    evidence: Mapping[str, float] = field(default_factory=dict)


def group_of(domain: str | None, source: str) -> str:
    """Name the group of a document: its domain label; without one, the folder of its source.

    A file that holds many documents is its own group, and so is a source that is not a file.
    """
    if domain:
        return domain
    folder, name = os.path.split(source)
    return f"from {source if not folder or is_collection(name) else folder}"


def labelled(name: str, experts: Collection[str]) -> Group | None:
    """Assign a group to the expert of the same name; None if the router must choose."""
    return Group(name, name) if name == GENERAL or name in experts else None


def decide(
    seen: Mapping[str, FloatArray], experts: Sequence[str], known: Collection[Group]
) -> list[Group]:
    """Choose an expert for each group.

    :param seen: posteriors [N, E + 1] of the sampled documents, by group; at least one each.
    :param known: groups that were decided before; they count in the store's mean.
    """
    names = (*experts, GENERAL)
    none = np.zeros(len(names))
    none[-1] = PRIOR_DOCUMENTS
    old = [
        group.documents * np.array([group.evidence.get(name, 0.0) for name in names])
        for group in known
    ]
    seen = {name: _finite(rows) for name, rows in seen.items()}
    new = [rows.sum(axis=0, dtype=np.float64) for rows in seen.values()]
    mass = np.sum([none, *old, *new], axis=0)  # [E + 1]
    mean = mass / mass.sum()
    return [_decided(name, rows, names, mean) for name, rows in seen.items()]


def _finite(rows: FloatArray) -> FloatArray:
    """Replace non-finite rows of posteriors [N, E + 1] by "none of them"."""
    none = np.eye(1, rows.shape[1], rows.shape[1] - 1, dtype=np.float32)
    return np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, none)


def _decided(
    name: str,
    rows: FloatArray,
    names: Sequence[str],
    mean: NDArray[np.float64],
) -> Group:
    own = rows.mean(axis=0, dtype=np.float64)  # [E + 1]
    shares = (len(rows) * own + PRIOR_DOCUMENTS * mean) / (len(rows) + PRIOR_DOCUMENTS)
    best = int(shares.argmax())
    chosen = best if shares[best] >= SHARE else len(names) - 1
    return Group(
        name,
        names[chosen],
        round(float(shares[chosen]), 4),
        len(rows),
        {expert: round(float(value), 4) for expert, value in zip(names, own, strict=True)},
    )


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
