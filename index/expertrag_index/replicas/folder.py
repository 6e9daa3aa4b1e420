"""Generations in a folder: of another disk, or of a network's file system."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from expertrag_common.durable import fsync_folder
from expertrag_index.errors import RemoteUnreachableError, StorageFullError
from expertrag_index.replicas.remote import FULL

_FOLDERS = ("generations", "files", "blocks")
_COUNTER = itertools.count()
_COPIED_BYTES = 1 << 20


class FolderRemote:
    """Objects as files; each is written under another name first, and then renamed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def address(self) -> str:
        """The path."""
        return str(self._root)

    def read(self, name: str, most: int) -> bytes | None:
        """Return the first ``most`` bytes of an object; None if it is missing."""
        with self._translate_errors():
            try:
                with _open_regular(self._root / name) as file:
                    return file.read(most)
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        """Write an object."""
        with (
            self._translate_errors(),
            self._writing(name) as temporary,
            temporary.open("wb") as file,
        ):
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def upload(self, name: str, source: Path) -> None:
        """Write an object from a file."""
        with self._translate_errors(), self._writing(name) as temporary:
            shutil.copyfile(source, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())

    def download(self, name: str, target: Path) -> bool:
        """Write an object to a file; return False if it is missing."""
        with self._translate_errors(reading=True):
            target.touch()  # what is missing from here on is the object
            try:
                with _open_regular(self._root / name) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file, _COPIED_BYTES)
            except FileNotFoundError:
                return False
            return True

    def listing(self, folder: str) -> Mapping[str, float]:
        """Return the names in a folder, and when each was written."""
        times: dict[str, float] = {}
        with self._translate_errors(), suppress(FileNotFoundError):
            for entry in os.scandir(self._root / folder):
                with suppress(FileNotFoundError):
                    times[f"{folder}/{entry.name}"] = entry.stat().st_mtime
        return times

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects."""
        with self._translate_errors():
            for name in names:
                (self._root / name).unlink(missing_ok=True)

    def settle(self) -> None:
        """Make the names of files durable."""
        with self._translate_errors():
            for folder in (*(self._root / name for name in _FOLDERS), self._root):
                if folder.is_dir():
                    fsync_folder(folder)

    @contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        own = f"{os.getpid()}-{threading.get_ident()}-{next(_COUNTER)}"
        temporary = target.with_name(f"{target.name}.{own}.tmp")
        try:
            yield temporary
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    @contextmanager
    def _translate_errors(self, *, reading: bool = False) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                if reading:  # the disk of the reader
                    raise
                raise StorageFullError(
                    f"cannot write to {self._root} ({error.strerror}): free some space and run the "
                    "command again; what has been pushed before is untouched"
                ) from error
            raise RemoteUnreachableError(
                f"{self._root} cannot be read or written ({error.strerror}): check that it is "
                "mounted, and its permissions"
            ) from error


def _open_regular(path: Path) -> BinaryIO:
    """Open an object for reading. A pipe would wait for its writer, and a device has no end.

    :raises OSError: it is not a regular file.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, f"{path.name} is not a regular file")
    return file
