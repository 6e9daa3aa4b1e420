"""A folder as a source of documents: its files, by size and time of change."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from expertrag_index.loaders.base import SourceFile
from expertrag_index.loaders.limits import ReadLimits
from expertrag_index.loaders.load import files_of
from expertrag_index.loaders.parse import failure_of, storable
from expertrag_index.loaders.patterns import Patterns
from expertrag_index.sources.base import SourceItem, SourceItems
from expertrag_index.types import LoadFailure

_SPECIAL = re.compile(r"([\\*?\[\]!# ])")


class FolderSource:
    """The files below a folder, found as by a build.

    A folder that is missing, cannot be read, or has lost all its files is unavailable: an unmounted
    disk looks like that.
    """

    def __init__(
        self,
        folder: Path,
        limits: ReadLimits,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        store: Path,
    ) -> None:
        """Name a folder.

        :param store: the store, whose own files are left out if it is in the folder.
        :raises PatternError: a pattern is invalid.
        """
        self.folder = absolute(folder)
        self.limits = limits
        self.key = str(self.folder)
        chosen = Patterns(include, exclude)  # names the option of an invalid pattern
        self._name = storable(self.folder.name)
        self._patterns = chosen
        store, folder = store.resolve(), folder.resolve()
        if store.is_relative_to(folder):
            below = store.relative_to(folder).as_posix()
            own = "/" + _SPECIAL.sub(r"\\\1", below) + "/"
            self._patterns = Patterns(include, (*exclude, own))

    def covers(self, source: str) -> bool:
        """Return whether a source is a file below a folder of this name."""
        return source.startswith(f"{self._name}/")

    def listing(self, known: Mapping[str, str]) -> SourceItems:
        """List the files with size and time of change as version."""
        result, limits = SourceItems(), self.limits
        try:
            with os.scandir(self.folder):
                pass
        except OSError as error:
            result.unavailable = error.strerror or str(error)
            return result
        for file in files_of(self.folder, None, limits.max_file_bytes, self._patterns, limits.ocr):
            if isinstance(file, LoadFailure):
                result.failures.append(file)
                continue
            self._add(result, file)
        if known and not result.items:
            result.unavailable = "no file is left in it"
        result.failures += self._dead_links(name for name in known if name not in result.items)
        return result

    def _dead_links(self, missing: Iterable[str]) -> list[LoadFailure]:
        """Report the links above missing files that lead nowhere, as to an unmounted disk."""
        above = {up for name in missing for up in PurePosixPath(name).parents[:-2]}
        return [
            LoadFailure(str(folder), "a link that leads nowhere", "mount its disk, or delete it")
            for folder in sorted(above)
            if _is_dead_link(self.folder.joinpath(*folder.parts[1:]))
        ]

    def _add(self, items: SourceItems, file: SourceFile) -> None:
        try:
            status = file.path.stat()
        except OSError as error:  # a dead link, or a file that has gone meanwhile
            if file.path.is_symlink():
                items.failures.append(failure_of(storable(file.source), error))
            return
        version = f"{status.st_size} {status.st_mtime_ns}"
        source = storable(file.source)
        changed_at = max(status.st_mtime, status.st_ctime)
        items.items[source] = SourceItem(
            source, version, functools.partial(_same, file), changed_at
        )


def _is_dead_link(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def absolute(folder: Path) -> Path:
    """Return the absolute path of a folder; a link keeps its name, which its documents have."""
    return Path(os.path.abspath(folder))


def _same(file: SourceFile) -> SourceFile:
    return file
