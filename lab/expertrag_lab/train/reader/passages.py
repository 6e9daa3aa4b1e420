"""Passages of a data set with BM25 search, from which distractors are drawn.

Documents are chunked as in a store, but by words instead of an embedder's tokens. They are searched
by BM25 in an in-memory full-text index, so that the same files always give the same passages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from expertrag_index.build.chunk import Chunker
from expertrag_index.types import Document
from expertrag_index.words.query_words import query_terms
from expertrag_retriever.types import Passage


class Passages:
    """The passages of documents, by document or by search."""

    def __init__(self, documents: Iterable[Document], most_words: int) -> None:
        """Cut documents into passages of at most ``most_words`` words."""
        chunker = Chunker(most_words, lambda texts: [len(text.split()) for text in texts])
        self._all: list[Passage] = []
        self._of: dict[str, list[Passage]] = {}
        for document in documents:
            for chunk in chunker.split(document):
                place = (chunk.document_id, chunk.ordinal, chunk.text, chunk.start, chunk.end)
                self._of.setdefault(chunk.document_id, []).append(
                    Passage(*place, score=0.0, title=chunk.title)
                )
        for passages in self._of.values():
            self._all += passages
        self._words = sqlite3.connect(":memory:")
        self._words.execute("CREATE VIRTUAL TABLE p USING fts5(t, tokenize='porter unicode61')")
        self._words.executemany(
            "INSERT INTO p(rowid, t) VALUES (?, ?)",
            ((row, f"{item.title}\n{item.text}") for row, item in enumerate(self._all)),
        )

    def of(self, document_id: str) -> Sequence[Passage]:
        """Passages of a document in order; empty if the corpus lacks it."""
        return self._of.get(document_id, ())

    def search(self, question: str, k: int) -> list[Passage]:
        """Return the ``k`` best passages for a question."""
        match = " OR ".join(f'"{term}"' for term in query_terms(question))
        if not match:
            return []
        rows = self._words.execute(
            "SELECT rowid FROM p WHERE p MATCH ? ORDER BY rank, rowid LIMIT ?", (match, k)
        )
        return [self._all[row] for (row,) in rows]
