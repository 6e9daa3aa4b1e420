"""Loads documents from files and folders, and reports what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from expertrag_index.loaders.base import SourceFile, Unreadable
from expertrag_index.loaders.limits import DEFAULT_LIMITS, ReadLimits
from expertrag_index.loaders.parse import failure_of, storable
from expertrag_index.loaders.patterns import Patterns
from expertrag_index.loaders.pool import parse_all
from expertrag_index.loaders.unread import cure_of, is_refused, kind_of
from expertrag_index.loaders.walk import Walk
from expertrag_index.store.metadata import scalars_of
from expertrag_index.types import Document, LoadFailure

OnFailure = Callable[[LoadFailure], None]


def load(
    paths: Sequence[Path],
    *,
    on_failure: OnFailure,
    limits: ReadLimits = DEFAULT_LIMITS,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    within: Mapping[Path, Path] | None = None,
) -> Iterator[Document]:
    """Load the documents of files and folders, in sorted order.

    Files are parsed in processes of their own, as many as there are cores.

    :param paths: files, folders, BEIR folders (of which only the corpus is read).
    :param on_failure: called for each file, record or folder that cannot be read, and once for
        each unknown suffix in a folder; ``LoadFailure.source`` equals ``Document.source`` of the
        documents of that file, or is a folder above them. Bad input never raises.
    :param limits: with ``labels_field``, a notice counts the documents that have no label at all:
        everyone sees them.
    :param include: patterns as in ``.gitignore``, of paths below the folders: if there are any,
        only files that match one are read.
    :param exclude: patterns of the files and folders that are not read.
    :param within: for some paths, the folder of which each is read as a part: it gives the ids.
    :return: documents; their ids are not checked for duplicates.
    """
    patterns = Patterns(include, exclude)
    places = [(path, (within or {}).get(path)) for path in paths]
    most, ocr = limits.max_file_bytes, limits.ocr
    files = (item for path in places for item in files_of(*path, most, patterns, ocr))
    public = 0
    for item in parse_all(files, limits.max_file_s):
        if isinstance(item, Document):
            document = add_labels(item, limits.labels, limits.labels_field)
            public += not document.labels
            yield document
        else:
            on_failure(item)
    if limits.labels_field and public:
        on_failure(_public(paths, public, limits.labels_field))


def add_labels(document: Document, labels: Sequence[str], field: str) -> Document:
    """Return a document with these access labels, and those in its metadata field ``field``."""
    own = scalars_of(document.metadata.get(field, ())) if field else []
    every = {*labels, *map(str, own)}
    return replace(document, labels=tuple(sorted(every)))


def _public(paths: Sequence[Path], count: int, field: str) -> LoadFailure:
    what = f"{count:,} document{'s have' if count > 1 else ' has'} no metadata field {field!r}"
    return LoadFailure(
        ", ".join(map(str, paths)),
        f"{what}: every caller sees what has no label",
        "give it the field, or all documents a --label",
        notice=True,
    )


def files_of(
    path: Path, within: Path | None, max_file_bytes: int, patterns: Patterns, ocr: bool = False
) -> Iterator[SourceFile | LoadFailure]:
    """Find the files of a path, and what of it cannot be read."""
    walk = Walk(path, max_file_bytes, patterns, ocr=ocr, within=within)
    try:
        yield from walk
    except (Unreadable, OSError) as error:
        yield failure_of(walk.name or str(path), error)
    for folder, os_error in walk.unreadable_folders:
        yield failure_of(folder, os_error)
    for suffix, (first, count) in sorted(walk.unread.items()):
        files = f"{count:,} files, such as {first}," if count > 1 else first
        yield LoadFailure(
            f"{walk.name}/*{storable(suffix)}",
            storable(f"{files} {kind_of(suffix)}, skipped"),
            cure_of(suffix),
            notice=not is_refused(suffix),
        )
