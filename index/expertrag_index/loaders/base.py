"""What every reader of a file format is given, and how it says that it cannot read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from expertrag_index.types import Document

Report = Callable[[str, str], None]
"""Called with ``(reason, cure)`` for a part of a file that is left out; the rest is read on."""

FileReader = Callable[["SourceFile", Report], Iterator[Document]]
"""Reads one file; raises `Unreadable` or `OSError` where the rest of the file is lost."""


class Unreadable(Exception):
    """A file or a record that cannot be read, and what to do about it."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read, and what its place says about its documents."""

    path: Path
    id: str
    """Path below the root folder, with slashes: the id of a document that is a whole file."""
    source: str
    """The same with the root folder's name before it, as a person would call the file."""
    domain: str | None
    """Name of the first folder below the root."""
    max_bytes: int
    """Limit of one document, before and after decompression."""

    @property
    def stem(self) -> str:
        """The file's name without its suffix: the title of last resort."""
        return PurePosixPath(self.id).stem

    def read_bytes(self) -> bytes:
        """Read the whole file.

        :raises Unreadable: it is empty or larger than the limit.
        """
        with self.path.open("rb") as file:
            data = file.read(self.max_bytes + 1)
        if not data:
            raise Unreadable("the file is empty", "fill it or delete it")
        if len(data) > self.max_bytes:
            raise too_large("the file", self.max_bytes)
        return data


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what a parser warns of from the terminal: it says nothing that a person could mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def too_large(what: str, limit: int) -> Unreadable:
    """Say that something exceeds the limit for one document."""
    size = f"{limit / 2**20:g}"
    return Unreadable(
        f"{what} is larger than {size} MiB", "split it, or raise the limit with --max-file-mb"
    )


def require_text(text: str) -> str:
    """Return the text, or raise `Unreadable` if it is white space only."""
    if not text.strip():
        raise Unreadable("the file holds no text", "fill it or delete it")
    return text
