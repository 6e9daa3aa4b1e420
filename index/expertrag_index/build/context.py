"""What a writer works with, apart from the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from expertrag_index.build.embed_pool import EmbedPool
from expertrag_index.build.settings import WriterSettings
from expertrag_index.store.index import Index
from expertrag_index.store.manifest import JSON
from expertrag_index.store.opening import OpenParts
from expertrag_index.types import DocumentEmbedder, Progress

Calibrate = Callable[[Index], Mapping[str, JSON]]
"""Measures a candidate generation before it is published; the result goes into its manifest."""


@dataclass(frozen=True, slots=True)
class WriterContext:
    """What a writer works with, apart from the store.

    ``pool``: embeds texts. ``calibrate``: measures each generation; None leaves it unmeasured.
    ``reuse``: ``Index.open_parts`` of this process, which are not read again.
    """

    embedder: DocumentEmbedder
    pool: EmbedPool
    settings: WriterSettings
    progress: Progress
    calibrate: Calibrate | None
    reuse: OpenParts
