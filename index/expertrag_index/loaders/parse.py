"""Parses one file; whatever goes wrong is a failure that names the file, and never an exception."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from expertrag_common.extras import install_command
from expertrag_index.loaders.base import SourceFile, Unreadable, note_hidden
from expertrag_index.loaders.registry import reader_of, suffix_of
from expertrag_index.loaders.unread import cure_of, kind_of
from expertrag_index.store.metadata import scalars_of
from expertrag_index.types import Document, LoadFailure, MetadataValue
from expertrag_index.words.invisible import count_removed, visible

_BROKEN = re.compile("[\0\ud800-\udfff]")
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
            raise Unreadable(f"a file {kind_of(suffix)}", cure_of(suffix))
        for document in reader(file, reports.add):
            yield from reports.take()
            document = _remove_invisible(document, invisible)
            if document.text.strip():
                yield document
            else:
                reports.add(f"{document.id} contains no text", "add text to it or delete it")
        yield from reports.take()
    except Exception as error:  # hostile files make the parsers raise anything
        yield from reports.take()
        yield failure_of(storable(file.source), error)
    note_hidden(reports.add, invisible)
    yield from reports.take()
    yield from reports.rest()


class _Reports:
    """Collects the first failures and the first notices inside a file, and counts the rest."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._new: list[LoadFailure] = []
        self._counts = {False: 0, True: 0}

    def add(self, reason: str, cure: str, *, notice: bool = False) -> None:
        self._counts[notice] += 1
        if self._counts[notice] <= _REPORTS_PER_FILE:
            self._new.append(LoadFailure(self._source, reason, cure, notice=notice))

    def take(self) -> Iterable[LoadFailure]:
        taken, self._new = self._new, []
        return taken

    def rest(self) -> Iterator[LoadFailure]:
        for notice, what in ((False, "records cannot be read"), (True, "notes of this file")):
            more = self._counts[notice] - _REPORTS_PER_FILE
            if more > 0:
                cure = "fix those above and run again"
                yield LoadFailure(self._source, f"{more} more {what}", cure, notice=notice)


def _remove_invisible(document: Document, left: Counter[str]) -> Document:
    """Return a document without characters that nobody sees, which are counted by code points.

    NUL and lone surrogates, which no database or message can hold, are among them.
    """

    def remove(text: str) -> str:
        kept = _clean(text)
        for character, count in count_removed(text, kept).items():
            left[f"U+{ord(character):04X}"] += count
        return kept

    def value_shown(value: MetadataValue) -> MetadataValue:
        if isinstance(value, str):
            return remove(value)
        if isinstance(value, list):
            return [remove(item) if isinstance(item, str) else item for item in value]
        return value

    if _is_clean(document):
        return document
    metadata = {remove(name): value_shown(value) for name, value in document.metadata.items()}
    text = remove(document.text)
    starts = document.page_starts
    return replace(
        document,
        id=_BROKEN.sub("", document.id),
        title=remove(document.title),
        text=text,
        metadata=metadata,
        domain=remove(document.domain) if document.domain else None,
        page_starts=starts if text == document.text else _move_starts(starts, document.text),
    )


def _is_clean(document: Document) -> bool:
    """Whether no text of a document holds such a character; a file may have a million records."""
    texts = [document.id, document.title, document.text, document.domain or ""]
    for name, value in document.metadata.items():
        texts += [name, *map(str, scalars_of(value))]
    joined = "\n".join(texts)
    return _BROKEN.search(joined) is None and visible(joined) is joined


def _clean(text: str) -> str:
    return visible(_BROKEN.sub("", text))


def _move_starts(starts: Sequence[int], text: str) -> list[int]:
    """Return where pages begin once invisible characters are left out."""
    ends = accumulate(len(_clean(text[a:b])) for a, b in pairwise((0, *starts)))
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
