"""Parses one file; whatever goes wrong is a failure that names the file, and never an exception."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from expertrag_index.extras import install_command
from expertrag_index.invisible import left_out, visible
from expertrag_index.loaders.base import SourceFile, Unreadable, note_hidden
from expertrag_index.loaders.registry import DOCUMENT_SUFFIXES, reader_of, suffix_of
from expertrag_index.metadata import scalars_of
from expertrag_index.types import Document, LoadFailure, MetadataValue

CONVERT = f"convert it to one of {' '.join(DOCUMENT_SUFFIXES)}"
_REPORTS_PER_FILE = 10  # a file of a million broken lines must not hide the other failures


def parse(file: SourceFile) -> Iterator[Document | LoadFailure]:
    """Yield the documents of a file, and what of it cannot be read."""
    reports = _Reports(storable(file.source))
    invisible: Counter[str] = Counter()
    try:
        if storable(file.source) != file.source:
            raise Unreadable("the file name is not valid UTF-8", "rename the file")
        suffix = suffix_of(file.name)
        reader = reader_of(suffix)
        if reader is None:
            kind = f"unknown file type {suffix}" if suffix else "a file without a suffix"
            raise Unreadable(kind, CONVERT)
        for document in reader(file, reports.add):
            yield from reports.take()
            if _accepted(document, reports):
                yield _shown(document, invisible)
        yield from reports.take()
    except Exception as error:  # hostile files make the parsers raise anything
        yield from reports.take()
        yield failure_of(storable(file.source), error)
    note_hidden(reports.add, invisible)
    yield from reports.take()
    yield from reports.rest()


class _Reports:
    """Collects the first failures inside a file, and counts the rest."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._new: list[LoadFailure] = []
        self._count = 0

    def add(self, reason: str, cure: str, *, notice: bool = False) -> None:
        self._count += not notice
        if notice or self._count <= _REPORTS_PER_FILE:
            self._new.append(LoadFailure(self._source, reason, cure, notice=notice))

    def take(self) -> Iterable[LoadFailure]:
        taken, self._new = self._new, []
        return taken

    def rest(self) -> Iterator[LoadFailure]:
        more = self._count - _REPORTS_PER_FILE
        if more > 0:
            reason = f"{more} more records cannot be read"
            yield LoadFailure(self._source, reason, "fix those above and run again")


def _accepted(document: Document, reports: _Reports) -> bool:
    """Report a document that no database or message can hold: with lone surrogates or NUL."""
    metadata = [
        str(item)
        for name, value in document.metadata.items()
        for item in (name, *scalars_of(value))
    ]
    for value in (document.id, document.title, document.text, document.domain or "", *metadata):
        if "\0" in value or storable(value) != value:
            name = storable(document.id).replace("\0", "\\0")
            reports.add(
                f"{name} contains a NUL or a lone surrogate, which are not valid text",
                "remove it from the record",
            )
            return False
    return True


def _shown(document: Document, invisible: Counter[str]) -> Document:
    """Return a document without invisible characters, which are counted by their code points."""

    def shown(text: str) -> str:
        kept = visible(text)
        for character, count in left_out(text, kept).items():
            invisible[f"U+{ord(character):04X}"] += count
        return kept

    def value_shown(value: MetadataValue) -> MetadataValue:
        if isinstance(value, str):
            return shown(value)
        if isinstance(value, list):
            return [shown(item) if isinstance(item, str) else item for item in value]
        return value

    metadata = {name: value_shown(value) for name, value in document.metadata.items()}
    title, text = shown(document.title), shown(document.text)
    starts = document.page_starts
    if text != document.text:
        starts = _moved(starts, document.text)
    return replace(document, title=title, text=text, metadata=metadata, page_starts=starts)


def _moved(starts: Sequence[int], text: str) -> list[int]:
    """Return where pages begin once invisible characters are left out."""
    ends = accumulate(len(visible(text[a:b])) for a, b in pairwise((0, *starts)))
    return list(ends)


def storable(text: str) -> str:
    """Escape lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "backslashreplace").decode()


def failure_of(source: str, error: Exception) -> LoadFailure:
    """Describe an error as the failure of a file or folder."""
    if isinstance(error, Unreadable):
        return LoadFailure(source, error.reason, error.cure)
    if isinstance(error, ImportError):
        reason = f"the parser of this file type is not installed ({error.name})"
        return LoadFailure(source, reason, install_command("server"))
    if isinstance(error, FileNotFoundError):
        return LoadFailure(source, "no such file or folder", "correct the path")
    if isinstance(error, PermissionError):
        return LoadFailure(source, "no permission to read it", "chmod u+r, or run as its owner")
    if isinstance(error, OSError):
        return LoadFailure(source, f"cannot be read: {error.strerror or error}", "check the disk")
    if isinstance(error, MemoryError):
        return LoadFailure(source, "needs too much memory to read", "split it")
    reason = f"cannot be read ({type(error).__name__} in its parser)"
    return LoadFailure(source, reason, "correct the file, or convert it to another type")
