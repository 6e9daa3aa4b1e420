"""Builds the postings of chunks while others are stored: ``python -m`` this module.

The first message names the database and the folder of the segment. Each of the others is the first
and the last key of chunks that have been committed. An empty message ends them, and is answered
with the entry of the segment's file, in JSON. A worker that fails ends without an answer.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from expertrag_common.worker_process import parent_link
from expertrag_index.errors import StoreCorruptError
from expertrag_index.postings.build import RUN_TERMS, Batch, build_postings
from expertrag_index.words.chunk_terms import terms_of

END = b""


def main(descriptor: int) -> None:
    """Write the segment of what the parent names, until it has no more or closes the link."""
    parent = parent_link(descriptor)
    try:
        database, folder = json.loads(parent.recv_bytes())
        uri = f"{Path(database).as_uri()}?mode=ro"
        # no transaction spans two queries, so that SQLite can restart its log in between
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            batches = _batches(parent, connection)
            # smaller runs than of a build in one process: its memory adds to the writer's
            entry = build_postings(batches, Path(folder), run_terms=RUN_TERMS // 4)
        parent.send_bytes(json.dumps(asdict(entry)).encode())
    except (EOFError, OSError, sqlite3.Error, StoreCorruptError):
        return


def _batches(parent: Connection, connection: sqlite3.Connection) -> Iterator[Batch]:
    while (message := parent.recv_bytes()) != END:
        first, last = json.loads(message)
        yield from terms_of(connection, np.arange(first, last + 1))


if __name__ == "__main__":
    main(int(sys.argv[1]))
