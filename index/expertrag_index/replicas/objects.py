"""Generations in an object store: S3, and whatever else fsspec opens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from expertrag_common.extras import install_command
from expertrag_index.errors import RemoteUnreachableError
from expertrag_index.replicas.remote import FULL
from expertrag_index.sources.redact import redact

T = TypeVar("T")

_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")


class ObjectRemote:
    """Objects below a URL.

    Credentials and endpoints come from where fsspec's libraries find them (environment, profiles).
    """

    def __init__(self, url: str) -> None:
        self._shown = redact(url.rstrip("/"))
        try:
            import fsspec

            self._files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            of_s3 = url.startswith("s3:")
            cure = install_command("s3") if of_s3 else f"pip install '{error.name or 'fsspec'}'"
            raise RemoteUnreachableError(
                f"{self._shown} needs another package; run: {cure}"
            ) from error
        except Exception as error:  # each file system raises its own
            raise self._unreachable(error) from error
        self._root = str(root).rstrip("/")

    @property
    def address(self) -> str:
        """The URL without credentials."""
        return self._shown

    def read(self, name: str, most: int) -> bytes | None:
        """Return the first ``most`` bytes of an object; None if it is missing."""
        data: bytes | None = self._call(lambda path: self._files.cat_file(path, 0, most), name)
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write an object."""
        self._call(lambda path: self._files.pipe_file(path, data), name)

    def upload(self, name: str, source: Path) -> None:
        """Write an object from a file."""
        self._call(lambda path: self._files.put_file(str(source), path), name)

    def download(self, name: str, target: Path) -> bool:
        """Write an object to a file; return False if it is missing."""
        target.touch()  # what is missing from here on is the object

        def get(path: str) -> bool:
            self._files.get_file(path, str(target))
            return True

        return bool(self._call(get, name))

    def listing(self, folder: str) -> Mapping[str, float]:
        """Return the names in a folder, and when each was written."""
        self._files.invalidate_cache()
        entries = self._call(lambda path: self._files.find(path, detail=True), folder) or {}
        return {f"{folder}/{name.rpartition('/')[2]}": _time(of) for name, of in entries.items()}

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects."""
        for name in names:
            self._call(lambda path: self._files.rm_file(path), name)

    def settle(self) -> None:
        """Do nothing: an object that has been written is durable."""

    def _call(self, run: Callable[[str], T], name: str) -> T | None:
        try:
            return run(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        except Exception as error:  # each file system raises its own
            if getattr(error, "errno", None) in FULL:  # the disk of the reader
                raise
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> RemoteUnreachableError:
        # its text may hold the URL, with credentials
        return RemoteUnreachableError(
            f"{self._shown} cannot be read or written ({type(error).__name__}): check the URL, the "
            "network and the credentials"
        )


def _time(entry: Mapping[str, Any]) -> float:
    """Return when an object was written; now, if the object store does not tell."""
    for name in _TIMES:
        moment = entry.get(name)
        if isinstance(moment, datetime):
            return moment.timestamp()
        if isinstance(moment, int | float):
            return float(moment)
    return time.time()
