"""Loads documents from files and folders, and reports what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from expertrag_index.loaders.base import SourceFile, Unreadable
from expertrag_index.loaders.registry import SUFFIXES, reader_of, suffix_of
from expertrag_index.loaders.walk import Walk
from expertrag_index.metadata import scalars_of
from expertrag_index.types import Document, LoadFailure

DEFAULT_MAX_FILE_BYTES = 32 * 2**20
_REPORTS_PER_FILE = 10  # a file of a million broken lines must not hide the other failures
_CONVERT = f"convert it to one of {' '.join(SUFFIXES)}"

OnFailure = Callable[[LoadFailure], None]


def load(
    paths: Sequence[Path],
    *,
    on_failure: OnFailure,
    max_file_bytes: int = DEFAULT_MAX_FILE_BYTES,
) -> Iterator[Document]:
    """Load the documents of files and folders, in sorted order.

    :param paths: files, folders, BEIR folders (of which only the corpus is read).
    :param on_failure: called for each file, record or folder that cannot be read, and once for
        each unknown suffix in a folder; ``LoadFailure.source`` equals ``Document.source`` of the
        documents of that file, or is a folder above them. Bad input never raises.
    :param max_file_bytes: limit of one document; ``.jsonl`` and ``.csv`` files are streamed and
        may be larger.
    :return: documents; their ids are not checked for duplicates.
    """
    for path in paths:
        yield from _load_path(path, on_failure, max_file_bytes)


def _load_path(path: Path, on_failure: OnFailure, max_file_bytes: int) -> Iterator[Document]:
    walk = Walk(path, max_file_bytes)
    try:
        for file in walk:
            yield from _load_file(file, on_failure)
    except (Unreadable, OSError) as error:
        on_failure(_failure(walk.name or str(path), error))
    for folder, os_error in walk.unreadable_folders:
        on_failure(_failure(folder, os_error))
    for suffix, count in sorted(walk.unknown_suffixes.items()):
        files = f"{count} file{'s' * (count > 1)}"
        kind = f"of unknown type {suffix}" if suffix else "without a suffix"
        source = f"{walk.name}/*{_storable(suffix)}"
        reason = f"{files} {_storable(kind)}, skipped"
        on_failure(LoadFailure(source, reason, _CONVERT, notice=True))


def _load_file(file: SourceFile, on_failure: OnFailure) -> Iterator[Document]:
    reports = _Reports(_storable(file.source), on_failure)
    try:
        if _storable(file.source) != file.source:
            raise Unreadable("the file name is not valid UTF-8", "rename the file")
        suffix = suffix_of(file.path.name)
        reader = reader_of(suffix)
        if reader is None:
            kind = f"unknown file type {suffix}" if suffix else "a file without a suffix"
            raise Unreadable(kind, _CONVERT)
        yield from _checked(reader(file, reports.add), reports)
    except (Unreadable, OSError, ImportError) as error:
        on_failure(_failure(_storable(file.source), error))
    reports.close()


class _Reports:
    """Forwards the first failures inside a file, and counts the rest."""

    def __init__(self, source: str, on_failure: OnFailure) -> None:
        self._source = source
        self._on_failure = on_failure
        self._count = 0

    def add(self, reason: str, cure: str) -> None:
        self._count += 1
        if self._count <= _REPORTS_PER_FILE:
            self._on_failure(LoadFailure(self._source, reason, cure))

    def close(self) -> None:
        more = self._count - _REPORTS_PER_FILE
        if more > 0:
            reason = f"{more} more records cannot be read"
            self._on_failure(LoadFailure(self._source, reason, "fix those above and run again"))


def _checked(documents: Iterable[Document], reports: _Reports) -> Iterator[Document]:
    """Drop documents that no database or message can hold: with lone surrogates or NUL."""
    for document in documents:
        metadata = [
            str(item)
            for name, value in document.metadata.items()
            for item in (name, *scalars_of(value))
        ]
        for value in (document.id, document.title, document.text, document.domain or "", *metadata):
            if "\0" in value or _storable(value) != value:
                name = _storable(document.id).replace("\0", "\\0")
                reports.add(
                    f"{name} contains a NUL or a lone surrogate, which are not valid text",
                    "remove it from the record",
                )
                break
        else:
            yield document


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _failure(source: str, error: Unreadable | OSError | ImportError) -> LoadFailure:
    if isinstance(error, Unreadable):
        return LoadFailure(source, error.reason, error.cure)
    if isinstance(error, ImportError):
        reason = f"the parser of this file type is not installed ({error.name})"
        return LoadFailure(source, reason, "pip install 'expertrag[server]'")
    if isinstance(error, FileNotFoundError):
        return LoadFailure(source, "no such file or folder", "correct the path")
    if isinstance(error, PermissionError):
        return LoadFailure(source, "no permission to read it", "chmod u+r, or run as its owner")
    return LoadFailure(source, f"cannot be read: {error.strerror or error}", "check the disk")
