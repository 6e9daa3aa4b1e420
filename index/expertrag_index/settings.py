"""Figures that decide how a store is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """When to use which kind of segment, and how much work a crash may lose.

    ``flat_limit``: live vectors up to which search is exact; beyond, IVF(4√n),SQ8.
    ``small``: live vectors up to which every update writes one whole new segment (tens of ms).
    ``max_segments``, ``dead_share``: beyond either, all segments are merged into one.
    ``flat_share``: of a large store that may lie in flat segments beside the IVF one.
    ``embed_batch``: chunks embedded between two commits; a killed build embeds so many again.
    ``chunk_tokens``: budget of a chunk, title included; None is what the embedder reads. With a
    larger one the end of a long chunk is found by its words, and by meaning only its beginning.
    """

    flat_limit: int = 50_000
    small: int = 5_000
    max_segments: int = 8
    dead_share: float = 0.25
    flat_share: float = 0.25
    embed_batch: int = 64
    chunk_tokens: int | None = None
