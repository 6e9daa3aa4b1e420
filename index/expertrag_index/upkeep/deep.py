"""Compares a store with its embedder and with exact search, on a sample of each partition."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expertrag_index.search.selection import bitmap
from expertrag_index.search.tuning import Searchable, recall_at_10
from expertrag_index.search.vector_store import Among, GenerationVectors, VectorHits
from expertrag_index.search.vectors import Bitmap
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.opening import Generation, open_published
from expertrag_index.store.rows import StoredVectors
from expertrag_index.types import DocumentEmbedder, FloatArray, KeyArray, Progress, silent

SAMPLE = 200
"""Chunks of each partition to embed again."""

SAME = 0.99
"""Lowest cosine of a stored vector and a new one of the same text: devices round differently."""

_IN_ENGINE = 0.97  # recall@10 of an engine's index, which nobody has measured before

_LOST = 0.05  # of recall@10 since the build, whose standard error is below 0.02


def deep_check(
    path: Path, embedder: DocumentEmbedder, progress: Progress | None = None
) -> list[str]:
    """Return the differences; the store has been checked with ``verify`` before.

    :raises StoreCorruptError: the store is damaged.
    """
    layout, report = Layout(Path(path)), progress or silent
    generation = open_published(layout)
    problems: list[str] = []
    with Index(layout, generation) as index:
        experts = list(generation.partitions)
        for done, expert in enumerate(experts):
            report("compare", done, len(experts))
            problems += _compare_vectors(index, expert, embedder)
            problems += _compare_recall(generation, expert)
        report("compare", len(experts), len(experts))
    return problems


def _compare_vectors(index: Index, expert: str, embedder: DocumentEmbedder) -> list[str]:
    sample = index.sample_chunks(SAMPLE, expert=expert)
    new = embedder.encode_documents([chunk.embedding_text for _, chunk in sample], expert)  # [N, D]
    stored = index.read_vectors(np.array([key for key, _ in sample], np.int64))  # [N, D]
    cosines = np.einsum("nd,nd->n", stored, new) / np.linalg.norm(new, axis=1)  # [N]
    different = int((~(cosines >= SAME)).sum())  # also counts NaN
    if not different:
        return []
    return [
        f"{different} of {len(sample)} vectors of partition {expert!r} differ from those that "
        f"{embedder.name} makes now (lowest cosine {cosines.min():.3f}): build the store again "
        "from its documents, into another folder"
    ]


@dataclass(frozen=True, slots=True)
class _InEngine:
    """A partition in an engine, searched like a segment."""

    vectors: GenerationVectors
    expert: str
    keys: KeyArray

    def search(self, query: FloatArray, k: int, allowed: Bitmap | None, wanted: int) -> VectorHits:
        return self.vectors.search(self.expert, query, k, Among(self.keys, allowed))


def _compare_recall(generation: Generation, expert: str) -> list[str]:
    keys = generation.partitions[expert]
    entries = [entry for entry in generation.manifest.segments if entry.expert == expert]
    expected = min((entry.recall for entry in entries), default=_IN_ENGINE)
    with generation.pool.connection() as connection:
        segments: list[Searchable] = [generation.segments[entry] for entry in entries]
        if generation.manifest.engine is not None:
            segments = [_InEngine(generation.vectors, expert, keys)]
        recall = recall_at_10(StoredVectors(connection), segments, keys, bitmap(generation.live))
    if recall >= expected - _LOST:
        return []
    if not entries:
        return [
            f"recall@10 in partition {expert!r} is {recall:.3f}, and should be {expected:.2f}: see "
            "that the engine has built its index of these vectors"
        ]
    return [
        f"recall@10 in partition {expert!r} is {recall:.3f}, and was {expected:.3f} when it was "
        "built: run 'expertrag index compact'"
    ]
