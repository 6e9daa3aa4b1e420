"""Records what a build or an update read from folders, and what it skipped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from expertrag_index.loaders.parse import storable
from expertrag_index.sources.folder import absolute
from expertrag_index.sources.ledger import Ledger
from expertrag_index.sources.stored import stored_sources
from expertrag_index.types import Document, LoadFailure


def seen_in(documents: Iterable[Document], sources: set[str]) -> Iterator[Document]:
    """Pass documents on, and add their sources to ``sources``."""
    for document in documents:
        sources.add(document.source)
        yield document


def claim_built(store: Path, paths: Sequence[Path], read: Collection[str]) -> None:
    """Let the folders among ``paths`` claim the sources that were read of them.

    What another folder has claimed stays its own, unless the store holds nothing of it any more.
    """
    with Ledger(store) as ledger:
        stored = stored_sources(store)
        ledger.forget(source for source in ledger.owners() if source not in stored)
        for path in paths:
            if path.is_dir():
                folder = absolute(path)
                below = f"{storable(folder.name)}/"
                ledger.claim(str(folder), [source for source in read if source.startswith(below)])


def keep_skipped(
    store: Path,
    failures: Iterable[LoadFailure],
    paths: Sequence[Path] | None,
    read: Collection[str],
) -> None:
    """Record what a build or an update skipped.

    :param paths: what an update read; None for a build, which reads all that the store is to hold.
    :param read: ``Document.source`` of the documents.
    """
    names = None if paths is None else tuple(f"{storable(absolute(each).name)}/" for each in paths)
    with Ledger(store) as ledger:
        ledger.keep_skipped(
            failures,
            lambda source: names is None or source in read or f"{source}/".startswith(names),
        )
