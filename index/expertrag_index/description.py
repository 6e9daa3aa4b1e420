"""Metadata fields and domains of the documents of a generation, or of some of them.

``condition`` is SQL on documents (alias ``d``), with ``values`` for its placeholders.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from expertrag_index.schema import LIVE, RESERVED

EVERY = "1"
"""The condition that every document meets."""

_JSON_TYPES = {
    "text": "str", "integer": "int", "real": "float", "true": "bool", "false": "bool",
    "array": "list",
}  # fmt: skip


def fields_of(
    connection: sqlite3.Connection,
    generation: int,
    condition: str = EVERY,
    values: Sequence[str] = (),
) -> dict[str, str]:
    """Return the type of each metadata field by its name: "mixed" for several."""
    types: dict[str, set[str]] = {}
    rows = connection.execute(
        f"""SELECT DISTINCT m.key, m.type FROM documents d, json_each(d.metadata) m
        WHERE {LIVE.format("d")} AND m.key NOT IN (SELECT value FROM json_each(?)) AND {condition}
        ORDER BY m.key""",
        (generation, generation, json.dumps(sorted(RESERVED)), *values),
    )
    for name, kind in rows:
        types.setdefault(name, set()).add(_JSON_TYPES[kind])
    return {name: kinds.pop() if len(kinds) == 1 else "mixed" for name, kinds in types.items()}


def domains_of(
    connection: sqlite3.Connection,
    generation: int,
    condition: str = EVERY,
    values: Sequence[str] = (),
) -> dict[str, int]:
    """Count the documents by domain, without those of none."""
    return dict(
        connection.execute(
            f"""SELECT d.domain, count(*) FROM documents d
            WHERE {LIVE.format("d")} AND d.domain IS NOT NULL AND {condition} GROUP BY d.domain""",
            (generation, generation, *values),
        )
    )
