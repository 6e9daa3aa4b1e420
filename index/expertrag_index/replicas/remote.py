"""Where generations are pushed: a folder, or a folder of an object store."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from expertrag_index.errors import RemoteUnreachableError

WORKERS = 8
"""Objects that are transferred at a time."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a disk, here or there, that has no space left."""

_REFUSED = ("http", "https")


class Remote(Protocol):
    """Objects by name, as the docstring of the package lists them, with one ``/`` at most.

    Every method may raise ``RemoteUnreachableError``, writing also ``StorageFullError``. All of
    them may be called by several threads.
    """

    @property
    def address(self) -> str:
        """The URL without credentials, for messages."""
        ...

    def read(self, name: str, most: int) -> bytes | None:
        """Return the first ``most`` bytes of an object; None if it is missing.

        A caller knows how long one can be that is whole: others may have written to the URL.
        """
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write an object; a reader sees the old content or the new."""
        ...

    def upload(self, name: str, source: Path) -> None:
        """Write an object from a file."""
        ...

    def download(self, name: str, target: Path) -> bool:
        """Write an object to a file; return False if it is missing."""
        ...

    def listing(self, folder: str) -> Mapping[str, float]:
        """Return the names in a folder, and when each was written (seconds since 1970)."""
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are missing do not count."""
        ...

    def settle(self) -> None:
        """Make durable what has been written."""
        ...


def open_remote(url: str) -> Remote:
    """Open a folder, or what fsspec opens: ``s3://bucket/folder``.

    :raises RemoteUnreachableError: there is no such kind of URL, or a package for it is missing.
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    if not url.strip() or "::" in url or scheme in _REFUSED:
        raise RemoteUnreachableError(
            "the URL is not a folder: give a path, or one of an object store such as "
            "s3://bucket/folder"
        )
    if scheme in ("", "file"):
        from expertrag_index.replicas.folder import FolderRemote

        return FolderRemote(Path(url.removeprefix("file://")))
    from expertrag_index.replicas.objects import ObjectRemote

    return ObjectRemote(url)
