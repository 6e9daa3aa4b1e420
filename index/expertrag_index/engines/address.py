"""Addresses of engines, as they are given and kept in manifests.

    postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full#NAME
    qdrant+https://HOST:PORT#NAME
    qdrant:/FOLDER#NAME             a folder that the client itself searches, in one process

NAME tells the stores in one engine apart.
"""

from __future__ import annotations

import re
import sqlite3
from urllib.parse import urlsplit

from expertrag_index.errors import EngineError
from expertrag_index.store.manifest import EngineEntry

FAISS = "faiss"
"""The name of the default: FAISS segments in the folder of the store."""

_SCHEMES = ("postgresql", "qdrant", "qdrant+http", "qdrant+https")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def choose_engine(
    wanted: str | None, current: EngineEntry | None, connection: sqlite3.Connection
) -> EngineEntry | None:
    """Return where the vectors of a store are to be: None for segments in the folder.

    :param wanted: ``FAISS``, an address, or None for where they are.
    :param connection: to the store's database, which keeps its identity.
    :raises EngineError: the address is not valid.
    """
    if wanted is None:
        return current
    if wanted == FAISS:
        return None
    checked = check_address(wanted)
    if current is not None and current.url == checked:
        return current
    return EngineEntry(checked, _identity(connection))


def _identity(connection: sqlite3.Connection) -> str:
    """Return the identity of a store, so that no other store writes into its part of an engine.

    Made when it is first asked for; a backup has none.
    """
    connection.execute("CREATE TABLE IF NOT EXISTS identity (store TEXT NOT NULL)")
    connection.execute(
        """INSERT INTO identity SELECT lower(hex(randomblob(16)))
        WHERE NOT EXISTS (SELECT 1 FROM identity)"""
    )
    return str(connection.execute("SELECT store FROM identity").fetchone()[0])


def forget_identity(connection: sqlite3.Connection) -> None:
    """Give the database the identity of another store."""
    connection.execute("DROP TABLE IF EXISTS identity")


def check_address(url: str) -> str:
    """Return the address of an engine if it is one.

    :raises EngineError: it is not, or holds a password, which would be kept in every manifest.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise EngineError(
            f"{parts.scheme or url} is not an engine for vectors: use {FAISS}, "
            "postgresql://USER@HOST/DATABASE#NAME or qdrant+https://HOST:PORT#NAME"
        )
    if parts.password is not None:
        raise EngineError(
            "leave the password out of the address of an engine, which is kept in the store: set "
            "PGPASSWORD or ~/.pgpass for PostgreSQL, EXPERTRAG_QDRANT_API_KEY for Qdrant"
        )
    if not _NAME.fullmatch(parts.fragment):
        raise EngineError(
            f"the address of an engine ends with a name for this store, such as #handbook: "
            f"lower-case letters, digits and _, at most 40, not {parts.fragment!r:.50}"
        )
    return url


def name_of(entry: EngineEntry) -> str:
    """Return the name of a store within its engine."""
    return urlsplit(entry.url).fragment
