"""Assigns groups of documents to experts during one run: known groups, and new ones at its end.

A new group is decided once all its documents have been seen. Until then they wait (``spool``), so
that a corpus of any size needs memory only for the sampled beginnings.
"""

from __future__ import annotations

import heapq
import sqlite3

from expertrag_index.store.groups import (
    assign_by_name,
    end_groups,
    group_of,
    read_groups,
    write_groups,
)
from expertrag_index.store.manifest import GENERAL
from expertrag_index.store.rows import digest
from expertrag_index.store.schema import NEVER
from expertrag_index.types import Document, DocumentEmbedder, Group, Progress

SAMPLE = 100
"""Documents of a group that its expert is chosen by: enough to know a mean probability to .05."""

_CHARACTERS_PER_TOKEN = 6  # keeps more of a text's beginning than the embedder reads


class Assignment:
    """Determines which expert serves a document; a plain embedder has only the general one."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        generation: int,
        embedder: DocumentEmbedder,
        progress: Progress,
        *,
        from_scratch: bool = False,
    ) -> None:
        """Start a run that writes ``generation``; ``from_scratch`` discards earlier assignments."""
        self._connection = connection
        self._generation = generation
        self._embedder = embedder
        self._progress = progress
        self._from_scratch = from_scratch
        self._known = (
            {} if from_scratch or not embedder.experts else read_groups(connection, generation - 1)
        )
        self._new: dict[str, Group] = {}
        self._samples: dict[str, list[tuple[int, str]]] = {}

    def expert_of(self, domain: str | None, source: str) -> str | None:
        """Return the expert of a document; None while its group is undecided."""
        if not self._embedder.experts:
            return GENERAL
        name = group_of(domain, source)
        if name not in self._known and name not in self._new:
            group = assign_by_name(name, self._embedder.experts)
            if group is None:
                return None
            self._new[name] = group
        return (self._known.get(name) or self._new[name]).expert

    def look_at(self, document: Document) -> None:
        """Keep the beginning of a document of an undecided group, if it is in the sample.

        The sample holds the documents with the smallest hashes, whatever their order.
        """
        sample = self._samples.setdefault(group_of(document.domain, document.source), [])
        rank = -int.from_bytes(digest(document.id, size=8))
        if len(sample) == SAMPLE and rank <= sample[0][0]:
            return
        item = (rank, document.embedding_text[: _CHARACTERS_PER_TOKEN * self._embedder.max_tokens])
        if len(sample) < SAMPLE:
            heapq.heappush(sample, item)
        else:
            heapq.heapreplace(sample, item)

    def decide(self) -> None:
        """Decide the groups that have been sampled."""
        samples = {
            name: [text for _, text in sorted(sample, reverse=True)]
            for name, sample in sorted(self._samples.items())
        }
        self._samples.clear()
        if samples:
            chosen = self._embedder.assign(samples, self._known.values(), self._progress)
            self._new.update({group.name: group for group in chosen})

    def seal(self, *, removed: bool) -> None:
        """Write the new groups inside the caller's transaction.

        :param removed: documents were removed, so that groups may have become empty.
        """
        if self._from_scratch:
            end_groups(self._connection, self._generation, keep=())
        write_groups(self._connection, self._generation, list(self._new.values()))
        if removed and self._known:
            end_groups(self._connection, self._generation, keep=self._living())

    def _living(self) -> set[str]:
        rows = self._connection.execute(
            "SELECT DISTINCT domain, source FROM documents WHERE removed_in = ?", (NEVER,)
        )
        return {group_of(domain, source) for domain, source in rows}
