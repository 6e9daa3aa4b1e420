"""The interface of file readers: their input, and how they report failures."""

from __future__ import annotations

import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from expertrag_index.types import Document


class Report(Protocol):
    """Called for a part of a file that is skipped; reading continues."""

    def __call__(self, reason: str, cure: str, *, notice: bool = False) -> None:
        """Take note of it; a ``notice`` is not a loss."""


FileReader = Callable[["SourceFile", Report], Iterator[Document]]
"""Reads one file; raises `Unreadable` or `OSError` if the rest of the file cannot be read."""


class Unreadable(Exception):
    """A file or a record that cannot be read, and what to do about it."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read, and the properties that its location gives its documents."""

    path: Path
    id: str
    """Path below the root folder, with slashes: the id of a document that is a whole file."""
    source: str
    """The same prefixed with the root folder's name, as a user would name the file."""
    domain: str | None
    """Name of the first folder below the root."""
    max_bytes: int
    """Limit of one document, before and after decompression."""
    ocr: bool = False
    """Whether pages without text are read from their pictures."""
    type_name: str = ""
    """The name that tells the type, if the name of the path does not."""

    @property
    def stem(self) -> str:
        """The file's name without its suffix: the title of last resort."""
        return PurePosixPath(self.id.removesuffix(".gz")).stem

    @property
    def is_packed(self) -> bool:
        """Whether it is compressed by gzip, by its name."""
        return self.name.lower().endswith(".gz")

    @property
    def name(self) -> str:
        """The name that tells the type."""
        return self.type_name or self.path.name

    def read_bytes(self) -> bytes:
        """Read the whole file, unpacked if it is packed.

        :raises Unreadable: it is empty, damaged, or larger than the limit.
        """
        with self.path.open("rb") as file:
            data = file.read(self.max_bytes + 1)
        if len(data) > self.max_bytes:
            raise too_large("the file", self.max_bytes)
        if self.is_packed:
            data = _unpack(data, self.max_bytes)
        if not data:
            raise Unreadable("the file is empty", "add content to it or delete it")
        return data


def _unpack(data: bytes, max_bytes: int) -> bytes:
    """Unpack gzip, up to a limit; it may be several packed files, one after the other."""
    unpacked = bytearray()
    while data:
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            unpacked += unpacker.decompress(data, max_bytes + 1 - len(unpacked))
        except zlib.error:
            raise make_gzip_error() from None
        if len(unpacked) > max_bytes:
            raise too_large("the unpacked file", max_bytes)
        if not unpacker.eof:
            raise make_gzip_error()
        data = unpacker.unused_data.lstrip(b"\0")
    return bytes(unpacked)


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress a parser's warnings: users cannot act on them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def too_large(what: str, limit: int) -> Unreadable:
    """Return the error for something that exceeds the limit for one document."""
    size = f"{limit / 2**20:g}"
    return Unreadable(
        f"{what} is larger than {size} MiB",
        "split it, or raise the limit with --set files.max_mb=N",
    )


def make_gzip_error() -> Unreadable:
    """Return the error for a packed file that cannot be unpacked."""
    return Unreadable("the gzip file is damaged or truncated", "download or create it again")


def note_hidden(report: Report, hidden: Counter[str]) -> None:
    """Report what is left out because a reader of the file does not see it.

    :param hidden: number of parts by kind.
    """
    if hidden:
        reason = f"hidden text is left out: {_kinds(hidden)}"
        report(reason, "show it in the file if it counts", notice=True)


def require_text(text: str, hidden: Counter[str] | None = None) -> str:
    """Return the text, or raise `Unreadable` if it is white space only.

    :param hidden: number of parts that are left out, by kind.
    """
    if text.strip():
        return text
    if hidden:
        reason = f"the file contains no text but hidden text: {_kinds(hidden)}"
        raise Unreadable(reason, "show the text in the file, or delete it")
    raise Unreadable("the file contains no text", "add text to it or delete it")


def _kinds(hidden: Counter[str]) -> str:
    return ", ".join(f"{kind} ({count:,})" for kind, count in hidden.most_common())
