"""The terms of stored chunks: what the postings are built of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from expertrag_index.errors import StoreCorruptError
from expertrag_index.postings.build import Batch
from expertrag_index.types import KeyArray
from expertrag_index.words.analysis import tokens
from expertrag_index.words.language import language_of
from expertrag_index.words.stems import LANGUAGES, marker

_BATCH = 4096


def chunk_terms(title: str, text: str) -> list[str]:
    """Return the terms of a chunk, by the language of its text."""
    language = language_of(text)
    if language not in LANGUAGES:
        return tokens(title) + tokens(text)
    return [marker(language), *tokens(title, language), *tokens(text, language)]


def terms_of(connection: sqlite3.Connection, keys: KeyArray) -> Iterator[Batch]:
    """Yield the keys of chunks, ascending, with the terms of their titles and texts."""
    query = """SELECT c.key, c.title, c.text FROM chunks c
        WHERE c.key BETWEEN ? AND ? ORDER BY c.key"""
    for start in range(0, len(keys), _BATCH):
        part = keys[start : start + _BATCH]
        wanted = set(part.tolist())
        rows = connection.execute(query, (int(part[0]), int(part[-1])))
        terms = [chunk_terms(title, text) for key, title, text in rows if key in wanted]
        if len(terms) != len(part):
            raise StoreCorruptError("chunks are missing in store.db")
        yield part, terms
