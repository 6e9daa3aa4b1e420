"""Describes the documents of a generation: their number, domains, metadata fields, and a hash.

A description holds counts and a sum. The description of a generation therefore follows from the
one before: the documents that were added count in addition, removed ones no longer.

``condition`` is SQL on documents (alias ``d``), with ``values`` for its placeholders.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expertrag_index.store.schema import LIVE, RESERVED

FieldCounts = Mapping[str, Mapping[str, int]]
"""Documents by the type of a metadata field, by its name."""

_JSON_TYPES = {
    "text": "str", "integer": "int", "real": "float", "true": "bool", "false": "bool",
    "array": "list",
}  # fmt: skip
_HASHES = 1 << 256


@dataclass(frozen=True, slots=True)
class CorpusDescription:
    """Counts of documents, and the sum of the hashes of their ids and contents, modulo 2^256."""

    documents: int
    corpus: int
    domains: Mapping[str, int]
    fields: FieldCounts

    def change(self, added: CorpusDescription, removed: CorpusDescription) -> CorpusDescription:
        """Return the description with some documents, and without others that it describes."""
        names = self.fields.keys() | added.fields.keys()
        fields = {
            name: _change_counts(*(part.fields.get(name, {}) for part in (self, added, removed)))
            for name in sorted(names)
        }
        return CorpusDescription(
            self.documents + added.documents - removed.documents,
            (self.corpus + added.corpus - removed.corpus) % _HASHES,
            _change_counts(self.domains, added.domains, removed.domains),
            {name: kinds for name, kinds in fields.items() if kinds},
        )


def describe_generation(connection: sqlite3.Connection, generation: int) -> CorpusDescription:
    """Describe all documents of a generation."""
    return describe(connection, LIVE.format("d"), (generation, generation))


def describe_changes(
    connection: sqlite3.Connection, generation: int, before: CorpusDescription
) -> CorpusDescription:
    """Describe a generation by what it changes of the one before."""
    added = describe(connection, "d.added_in = ? AND d.removed_in > ?", (generation, generation))
    removed = describe(connection, "d.removed_in = ? AND d.added_in < ?", (generation, generation))
    return before.change(added, removed)


def describe(
    connection: sqlite3.Connection, condition: str, values: Sequence[int | str]
) -> CorpusDescription:
    """Describe the documents that meet a condition."""
    documents, corpus = 0, 0
    query = f"SELECT d.id, d.hash FROM documents d WHERE {condition}"
    for identifier, digest in connection.execute(query, tuple(values)):
        documents += 1
        hashed = hashlib.sha256(identifier.encode() + b"\0" + digest).digest()
        corpus += int.from_bytes(hashed, "little")
    return CorpusDescription(
        documents,
        corpus % _HASHES,
        domains_of(connection, condition, values),
        fields_of(connection, condition, values),
    )


def fields_of(
    connection: sqlite3.Connection, condition: str, values: Sequence[int | str]
) -> dict[str, dict[str, int]]:
    """Count the documents that meet a condition by their metadata fields and the types of these."""
    counts: dict[str, dict[str, int]] = {}
    rows = connection.execute(
        f"""SELECT m.key, m.type, count(*) FROM documents d, json_each(d.metadata) m
        WHERE {condition} AND m.key NOT IN (SELECT value FROM json_each(?))
        GROUP BY m.key, m.type ORDER BY m.key""",
        (*values, json.dumps(sorted(RESERVED))),
    )
    for name, kind, count in rows:
        types = counts.setdefault(name, {})
        types[_JSON_TYPES[kind]] = types.get(_JSON_TYPES[kind], 0) + count
    return counts


def domains_of(
    connection: sqlite3.Connection, condition: str, values: Sequence[int | str]
) -> dict[str, int]:
    """Count the documents with a domain that meet a condition, by domain."""
    return dict(
        connection.execute(
            f"""SELECT d.domain, count(*) FROM documents d
            WHERE {condition} AND d.domain IS NOT NULL GROUP BY d.domain""",
            tuple(values),
        )
    )


def _change_counts(
    counts: Mapping[str, int], added: Mapping[str, int], removed: Mapping[str, int]
) -> dict[str, int]:
    totals = Counter(counts)
    totals.update(added)
    totals.subtract(removed)
    return {name: count for name, count in sorted(totals.items()) if count > 0}
