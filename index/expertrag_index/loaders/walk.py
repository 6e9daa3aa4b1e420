"""Finds the files below the paths that a user gave."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

from expertrag_index.loaders.base import SourceFile, Unreadable
from expertrag_index.loaders.patterns import EVERY_FILE, Patterns
from expertrag_index.loaders.registry import SUFFIXES, suffix_of

_BEIR_CORPORA = ("corpus.jsonl", "corpus.jsonl.gz")
_HIDDEN = (".", "~$")  # the second marks the lock files of word processors


_Folder = tuple[Path, tuple[str, ...]]
"""A folder, and the names of the folders from the root to it."""


class Walk:
    """The files below one path: sorted, without hidden ones, each folder once.

    :param root: a file or a folder.
    :param max_bytes: limit of one document, passed to each file.
    :param ocr: passed to each file.
    :param within: a folder above the root, of which it is read as a part.
    :param patterns: which files of a folder are read; one that is the root itself always is.
    """

    def __init__(
        self,
        root: Path,
        max_bytes: int,
        patterns: Patterns = EVERY_FILE,
        *,
        ocr: bool = False,
        within: Path | None = None,
    ) -> None:
        self._root = root
        self._parts: tuple[str, ...] = ()  # of the path from the folder above to the root
        if within is not None:
            self._parts = Path(os.path.abspath(root)).relative_to(within).parts
        self._max_bytes = max_bytes
        self._patterns = patterns
        self._ocr = ocr
        self._folders_seen: set[tuple[int, int]] = set()
        top = within or root
        self.name = top.name if top.name not in ("", "..") else top.resolve().name
        self.unread: dict[str, tuple[str, int]] = {}
        """The first file of each type that is not read, and their number, by suffix."""
        self.unreadable_folders: list[tuple[str, OSError]] = []

    def __iter__(self) -> Iterator[SourceFile]:
        """Yield the files.

        :raises Unreadable: the path is neither a file nor a folder.
        :raises OSError: the path cannot be accessed.
        """
        if self._root.is_dir():
            folders: list[_Folder] = [(self._root, self._parts)]
            while folders:  # deeper than Python's stack, if need be
                below = yield from self._folder(*folders.pop())
                folders += reversed(below)
            return
        self._root.stat()
        if not self._root.is_file():
            raise Unreadable("neither a file nor a folder", "name a file or a folder")
        if self._parts:
            yield self._file(self._root, self._parts)
            return
        name = self._root.name
        yield SourceFile(self._root, name, name, None, self._max_bytes, self._ocr)

    def _folder(
        self, folder: Path, parts: tuple[str, ...]
    ) -> Generator[SourceFile, None, list[_Folder]]:
        """Yield the files of a folder, and return the folders in it."""
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.unreadable_folders.append(("/".join((self.name, *parts)), error))
            return []
        # A link may point to a parent: enter a folder only once, preferably by its own name.
        if (status.st_dev, status.st_ino) in self._folders_seen:
            return []
        self._folders_seen.add((status.st_dev, status.st_ino))
        entries = [entry for entry in entries if not entry.name.startswith(_HIDDEN)]
        names = {entry.name for entry in entries}
        corpus = next((name for name in _BEIR_CORPORA if name in names), None)
        if corpus:  # a BEIR folder: queries and judgements are not documents
            entries = [entry for entry in entries if entry.name == corpus]
        folders = []
        for entry in entries:
            below = "/".join((*parts, entry.name))
            if os.path.isdir(entry.path):
                if self._patterns.enters(below):
                    folders.append(entry)
            elif self._patterns.reads(below):
                yield from self._select_file(entry, (*parts, entry.name))
        folders.sort(key=lambda entry: entry.is_symlink())
        return [(Path(entry.path), (*parts, entry.name)) for entry in folders]

    def _select_file(self, entry: os.DirEntry[str], parts: tuple[str, ...]) -> Iterator[SourceFile]:
        suffix = suffix_of(entry.name)
        if suffix not in SUFFIXES:
            first, count = self.unread.get(suffix, ("/".join(parts), 0))
            self.unread[suffix] = first, count + 1
        elif os.path.isfile(entry.path) or not os.path.exists(
            entry.path
        ):  # a dead link is reported
            yield self._file(Path(entry.path), parts)

    def _file(self, path: Path, parts: tuple[str, ...]) -> SourceFile:
        domain = parts[0] if len(parts) > 1 else None
        source = "/".join((self.name, *parts)) if self.name else "/".join(parts)
        return SourceFile(path, "/".join(parts), source, domain, self._max_bytes, self._ocr)
