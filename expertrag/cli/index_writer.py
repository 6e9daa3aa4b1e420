"""Opening a store for writing, for the commands that write."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.api.errors import InvalidArgument
from expertrag.cli.output import note
from expertrag.config import Config

if TYPE_CHECKING:
    from expertrag_index.build.settings import WriterSettings
    from expertrag_index.build.writer import IndexWriter

LOCK_WAIT_S = 30.0
"""Seconds to wait for another writer: an upsert of a running server takes a few."""


def opener(
    store: Path,
    config: Config,
    report: Callable[[str, int, int | None], None],
    lock_wait_s: float | None = None,
    *,
    migrating: bool = False,
    settings: WriterSettings | None = None,
) -> Callable[..., IndexWriter]:
    """Load the embedder, and return what opens the store for writing, as often as needed.

    :param lock_wait_s: seconds to wait for another writer; None for ``LOCK_WAIT_S``.
    :param settings: where vectors are to be, and how long chunks.
    :raises InvalidArgument: the embedder reads less than a chunk.
    """
    from expertrag.answer.rerank import open_reranker
    from expertrag.stores.embedders import open_embedder
    from expertrag_common.cores import available_cores
    from expertrag_index.build.settings import WriterSettings
    from expertrag_index.build.writer import IndexWriter
    from expertrag_retriever.calibrate import calibrator, make_completeness_check

    embedder, reranker = open_embedder(config.model, store), open_reranker(config.model)
    settings = settings or WriterSettings()
    if (settings.chunk_tokens or 0) > embedder.max_tokens:
        raise InvalidArgument(
            f"{embedder.name} reads {embedder.max_tokens:,} tokens: give --chunk-tokens up to that"
        )
    wait_s = LOCK_WAIT_S if lock_wait_s is None else lock_wait_s
    return functools.partial(
        IndexWriter.open,
        store,
        embedder,
        calibrate=calibrator(embedder, reranker),
        progress=report,
        settings=replace(
            settings,
            threads=available_cores(),
            lock_wait_s=wait_s,
            calibrated=make_completeness_check(reranker),
        ),
        migrating=migrating,
    )


@contextmanager
def resumable(store: Path) -> Iterator[None]:
    """Say on Ctrl-C what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        note(
            f"interrupted: {store} is as it was before; texts that were embedded are kept, so that "
            "the same command goes on from there"
        )
        raise
