"""Records what a build or an update read from folders, and what it skipped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from expertrag_index.loaders.parse import storable
from expertrag_index.sources.folder import absolute
from expertrag_index.sources.ledger import Ledger
from expertrag_index.sources.stored import count_sources
from expertrag_index.types import Document, LoadFailure


def note_sources(documents: Iterable[Document], sources: set[str]) -> Iterator[Document]:
    """Pass documents on, and add their sources to ``sources``."""
    for document in documents:
        sources.add(document.source)
        yield document


def find_folders_above(store: Path, paths: Sequence[Path]) -> dict[Path, Path]:
    """Return the folders that a store has been built from, for those paths that are in one."""
    with Ledger(store) as ledger:
        known = set(ledger.owners().values())
    above = {}
    for path in paths:
        whole = absolute(path)
        nearest = next((each for each in (whole, *whole.parents) if str(each) in known), whole)
        if nearest != whole:
            above[path] = nearest
    return above


def claim_built(
    store: Path, paths: Sequence[Path], read: Collection[str], above: Mapping[Path, Path]
) -> None:
    """Let the folders that were read claim the sources of them.

    What another folder has claimed stays its own, unless the store holds nothing of it any more.

    :param above: for some of the paths, the folder of which they were read as a part.
    """
    with Ledger(store) as ledger:
        stored = count_sources(store)
        ledger.forget(source for source in ledger.owners() if source not in stored)
        for path in paths:
            if path in above or path.is_dir():
                folder, below = above.get(path, absolute(path)), _name_of(path, above)
                claimed = [source for source in read if f"{source}/".startswith(below)]
                ledger.claim(str(folder), claimed)


def keep_skipped(
    store: Path,
    failures: Iterable[LoadFailure],
    paths: Sequence[Path] | None,
    read: Collection[str],
    above: Mapping[Path, Path],
) -> None:
    """Record what a build or an update skipped.

    :param paths: what an update read; None for a build, which reads all that the store is to hold.
    :param read: ``Document.source`` of the documents.
    :param above: as in :func:`claim_built`.
    """
    names = None if paths is None else tuple(_name_of(path, above) for path in paths)
    with Ledger(store) as ledger:
        ledger.keep_skipped(
            failures,
            lambda source: names is None or source in read or f"{source}/".startswith(names),
        )


def _name_of(path: Path, above: Mapping[Path, Path]) -> str:
    """Return what the sources of a path begin with, a slash at their ends."""
    whole = absolute(path)
    top = above.get(path, whole)
    return f"{storable('/'.join((top.name, *whole.relative_to(top).parts)))}/"
