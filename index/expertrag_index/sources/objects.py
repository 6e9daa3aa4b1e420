"""A folder of an object store (S3 and whatever else fsspec opens) as a source of documents."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from expertrag_common.extras import install_command
from expertrag_index.loaders.base import SourceFile, Unreadable, too_large
from expertrag_index.loaders.limits import ReadLimits
from expertrag_index.loaders.patterns import Patterns
from expertrag_index.loaders.registry import SUFFIXES, is_collection, suffix_of
from expertrag_index.sources.base import SourceItem, SourceItems
from expertrag_index.sources.redact import redact
from expertrag_index.sources.scratch import Scratch

_VERSIONS = ("ETag", "etag", "md5", "md5Hash", "content_md5")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")
_REFUSED = ("http", "https")
_MOST_COLLECTION_BYTES = 1 << 32


class ObjectSource:
    """The objects below a URL such as ``s3://bucket/manuals/``.

    Credentials and endpoints come from where fsspec's libraries find them (environment, profiles).
    Their versions are ETag, time of change and size, as far as the file system tells them.
    """

    def __init__(
        self,
        url: str,
        limits: ReadLimits,
        scratch: Scratch,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        domain: str | None = None,
    ) -> None:
        """Name a folder.

        :param scratch: where objects are put for the loaders.
        :raises Unreadable: the URL cannot be opened this way.
        :raises PatternError: a pattern is invalid.
        """
        if "::" in url or urlsplit(url).scheme in _REFUSED:
            raise Unreadable(f"{redact(url)} is not a folder of an object store", "correct the URL")
        self._url = url.rstrip("/")
        self._scratch = scratch
        self._domain = domain
        self._patterns = Patterns(include, exclude)
        self.limits = limits
        self.key = redact(self._url)

    def covers(self, source: str) -> bool:
        """Return whether a source is below this folder."""
        return source.startswith(f"{self.key}/")

    def listing(self, known: Mapping[str, str]) -> SourceItems:
        """List the objects that a loader can read."""
        result = SourceItems()
        try:
            files, root = _open_file_system(self._url)
            entries: Mapping[str, Any] = files.find(root, detail=True)
        except ImportError as error:
            of_s3 = self._url.startswith("s3:")
            cure = install_command("s3") if of_s3 else f"pip install '{error.name}'"
            result.unavailable = f"{error}; run: {cure}"
            return result
        except Exception as error:  # each file system raises its own
            result.unavailable = f"cannot be listed ({type(error).__name__})"
            return result
        for name, entry in sorted(entries.items()):
            below = name.removeprefix(root.rstrip("/")).lstrip("/")
            if self._reads(below):
                source = f"{self.key}/{below}"
                fetch = functools.partial(self._fetch, files, name, source, entry)
                result.items[source] = SourceItem(source, _version(entry), fetch)
        if known and not result.items:
            result.unavailable = "no object is left in it"
        return result

    def _reads(self, below: str) -> bool:
        parts = PurePosixPath(below).parts
        hidden = any(part.startswith((".", "~$")) for part in parts)
        folders = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        return (
            bool(below)
            and not hidden
            and suffix_of(below) in SUFFIXES
            and all(map(self._patterns.enters, folders))
            and self._patterns.reads(below)
        )

    def _fetch(self, files: Any, name: str, source: str, entry: Mapping[str, Any]) -> SourceFile:
        most = self.limits.max_file_bytes
        if is_collection(name):  # is read in parts
            most = _MOST_COLLECTION_BYTES
        if int(entry.get("size") or 0) > most:
            raise too_large("the object", most)
        path = self._scratch.passing(suffix_of(name))
        try:
            files.get_file(name, str(path))
        except Exception as error:  # each file system raises its own
            kind = type(error).__name__
            raise Unreadable(f"cannot be fetched ({kind})", "try again later") from error
        parts = PurePosixPath(source.removeprefix(f"{self.key}/")).parts
        domain = self._domain or (parts[0] if len(parts) > 1 else None)
        limits = self.limits
        return SourceFile(path, source, source, domain, limits.max_file_bytes, limits.ocr)


def _open_file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the URL's path in it."""
    import fsspec

    files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    files.invalidate_cache()
    return files, str(root)


def _version(entry: Mapping[str, Any]) -> str:
    """Return what a listing tells of an object's version; empty if it is not enough."""
    tags = [str(entry[name]) for name in _VERSIONS if entry.get(name)]
    times = [str(entry[name]) for name in _TIMES if entry.get(name)]
    if not tags and not times:
        return ""
    version = repr((tags, times, entry.get("size")))
    return hashlib.sha256(version.encode()).hexdigest()
