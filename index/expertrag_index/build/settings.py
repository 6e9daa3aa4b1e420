"""Settings for writing a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """When to use which kind of segment, and how much work a crash may lose.

    ``flat_limit``: most live vectors for exact search; beyond, 4√n lists of quantised ones.
    ``small``: most live vectors for which every update writes all of them into one new segment.
    ``max_segments``, ``dead_share`` (share of tombstones): beyond either, all segments are merged.
    ``flat_share``: most of a large store that may be in flat segments next to the IVF segment.
    ``embed_batch``: texts that are embedded together.
    ``commit_chunks``: chunks stored by one commit, or the chunks of a second if these are fewer. A
    killed build embeds at most so many again, and the two batches that were being embedded.
    ``chunk_tokens``: budget of a chunk, title included; None for the store's own, in a new store
    ``chunk_size.DEFAULT_CHUNK_TOKENS`` or the embedder's limit, if that is less. With a budget over
    that limit, dense search covers only the beginning of a long chunk, and BM25 all of it.
    ``vectors``: where they are to be searched: "faiss", for segments in the folder, or the address
    of an engine (see ``engines.address``). None for where they are, in a new store "faiss".
    ``threads``: FAISS threads for building a large segment; None for the number that searches use.
    ``lock_wait_s``: seconds to wait for another writer of the store.
    ``calibrated``: whether a calibration has all that the writer measures; where it has not, a new
    generation is published even if no document has changed.
    """

    flat_limit: int = 50_000
    small: int = 256
    max_segments: int = 8
    dead_share: float = 0.25
    flat_share: float = 0.25
    embed_batch: int = 64
    commit_chunks: int = 4096
    chunk_tokens: int | None = None
    vectors: str | None = None
    threads: int | None = None
    lock_wait_s: float = 0.0
    calibrated: Callable[[Mapping[str, object]], bool] = bool
