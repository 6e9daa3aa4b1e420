"""The keys of the live chunks of a generation."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from expertrag_index.search.ascending_keys import places_of
from expertrag_index.store.schema import LIVE, NEVER, read_meta
from expertrag_index.types import KeyArray


@dataclass(frozen=True, slots=True)
class LiveChunks:
    """The keys of the live chunks of a generation, ascending, by expert."""

    generation: int
    partitions: Mapping[str, KeyArray] = field(default_factory=dict)


NO_CHUNKS = LiveChunks(0)


def live_partitions(
    connection: sqlite3.Connection, generation: int, known: LiveChunks = NO_CHUNKS
) -> dict[str, KeyArray]:
    """Return the keys of the live chunks of a generation, ascending, by expert.

    :param known: of an earlier generation. If the rows that were removed since are still there,
        only the changes are read.
    """
    if not read_meta(connection).oldest <= known.generation <= generation or not known.generation:
        return _list_keys(connection, LIVE.format("c"), (generation, generation))
    if known.generation == generation:
        return dict(known.partitions)
    removed = _list_keys(
        connection,
        "c.removed_in > ? AND c.removed_in <= ? AND c.added_in <= ?",
        (known.generation, generation, known.generation),
    )
    added = _list_keys(
        connection,
        "c.added_in > ? AND c.added_in <= ? AND c.removed_in > ?",
        (known.generation, generation, generation),
    )
    none = np.empty(0, np.int64)
    partitions = {}
    for expert in sorted({*known.partitions, *added}):
        before = known.partitions.get(expert, none)
        kept = np.delete(before, places_of(removed.get(expert, none), before))
        # newer chunks have higher keys
        partitions[expert] = np.concatenate([kept, added.get(expert, none)])
    return {expert: keys for expert, keys in partitions.items() if len(keys)}


def new_partitions(connection: sqlite3.Connection, generation: int) -> dict[str, KeyArray]:
    """Return the keys of the chunks that a generation adds, ascending, by expert."""
    return _list_keys(connection, "c.added_in = ? AND c.removed_in = ?", (generation, NEVER))


def all_keys(partitions: Mapping[str, KeyArray]) -> KeyArray:
    """Return the keys of all partitions, ascending."""
    parts = list(partitions.values())
    if len(parts) == 1:
        return parts[0]
    return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))


def select_keys(
    connection: sqlite3.Connection, query: str, values: Sequence[object] = ()
) -> KeyArray:
    """Return the keys that a query selects, ascending; its one column has only keys."""
    listed = f"WITH selected(key) AS ({query}) SELECT group_concat(key) FROM selected"
    return _parse_keys(connection.execute(listed, tuple(values)).fetchone()[0] or "")


def _parse_keys(keys: str) -> KeyArray:
    """Parse what SQLite lists: half the time of a Python object for each key."""
    return np.sort(np.fromstring(keys, dtype=np.int64, sep=","))


def _list_keys(
    connection: sqlite3.Connection, condition: str, values: Sequence[int]
) -> dict[str, KeyArray]:
    rows = connection.execute(
        f"SELECT c.expert, group_concat(c.key) FROM chunks c WHERE {condition} GROUP BY c.expert",
        tuple(values),
    )
    return {str(expert): _parse_keys(keys) for expert, keys in rows}
