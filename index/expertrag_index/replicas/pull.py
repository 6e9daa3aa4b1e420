"""Makes or updates a copy of the store that is published at a URL."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from expertrag_common.durable import flush_folders, fsync_folder, link_file, write_durably
from expertrag_index.errors import (
    IndexStoreError,
    RemoteConflictError,
    RemoteDamagedError,
    StoreCorruptError,
)
from expertrag_index.replicas.blocks import assemble, most_packed, unpack_block
from expertrag_index.replicas.marker import (
    ReplicaMarker,
    check_replaceable,
    read_marker,
    write_marker,
)
from expertrag_index.replicas.published import (
    PublishedGeneration,
    block_object,
    file_object,
    make_damage_error,
    need_line,
    parse_line,
    read_published,
)
from expertrag_index.replicas.remote import Remote, open_remote
from expertrag_index.store.current import write_current
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.layout import Layout
from expertrag_index.store.lock import WriterLock
from expertrag_index.store.manifest import FileEntry, dumps
from expertrag_index.store.schema import connect_reader, read_meta
from expertrag_index.store.seal import check_seal
from expertrag_index.types import Progress, silent
from expertrag_index.upkeep.exchange import alone, put_in_place

_ATTEMPTS = 5  # a writer may drop the generation that is being pulled
_PART = "part"
"""The database that is being made, and suffix of a file that is being downloaded."""


@dataclass(frozen=True, slots=True)
class PullReport:
    """What a pull has done.

    ``objects`` and ``bytes``: what was downloaded. ``changed``: whether the copy was replaced.
    """

    generation: int
    changed: bool
    objects: int
    bytes: int
    seconds: float


def pull(
    url: str, store: Path, *, again: bool = False, progress: Progress | None = None
) -> PullReport:
    """Make a read-only copy of the published generation, or bring one up to date.

    The copy before stays whole until the new one takes its place in one step; a server that has it
    open goes over. What a pull has downloaded before it was killed is used by the next one.

    :param again: check every file of the copy, and replace what is damaged.
    :raises StoreNotFoundError: nothing has been pushed to the URL.
    :raises RemoteDamagedError: what is there is damaged.
    :raises StoreFormatError: it was pushed by another version.
    :raises StoreLockedError: another process is pulling to this path.
    :raises RemoteConflictError: it is another generation, and not newer than the copy.
    :raises RemoteUnreachableError: the URL cannot be read.
    :raises IndexStoreError: something else than a copy is at ``store``.
    :raises StorageFullError: no space left here.
    """
    remote, target = open_remote(url), Layout(Path(store))
    check_replaceable(target.root)
    for attempt in range(_ATTEMPTS):
        line = need_line(remote)
        try:
            return _pull(remote, target, line, again, progress or silent)
        except RemoteDamagedError:
            # what is missing may have been deleted with an old generation
            if attempt + 1 == _ATTEMPTS or need_line(remote) == line:
                raise
    raise AssertionError("unreachable")


def _pull(remote: Remote, target: Layout, line: str, again: bool, progress: Progress) -> PullReport:
    started = time.monotonic()
    marker = read_marker(target)
    if marker is not None and marker.line == line and not again:
        return PullReport(marker.generation, False, 0, 0, time.monotonic() - started)
    _check_newer(remote, line, marker)
    published = read_published(remote)
    download = _Download(remote, published, progress)
    with store_errors(target), _making(target) as copy, alone(target):
        _fill(download, copy, target)
        write_marker(copy, ReplicaMarker(remote.address, published.generation, published.line))
        flush_folders(copy.root)
        put_in_place(copy.root, target.root)
    seconds = time.monotonic() - started
    return PullReport(published.generation, True, download.objects, download.bytes, seconds)


def _check_newer(remote: Remote, line: str, marker: ReplicaMarker | None) -> None:
    number, _ = parse_line(remote, line)
    if marker is None or marker.generation < number or marker.line == line:
        return
    difference = "another one" if marker.generation == number else "older"
    raise RemoteConflictError(
        f"{remote.address} has generation {number}, which is {difference} than generation "
        f"{marker.generation} of the copy: another store is pushed there, or its copy was lost. "
        "If it is the right one, delete the copy and pull again"
    )


class _Download:
    """Downloads what a generation needs, and counts it."""

    def __init__(self, remote: Remote, wanted: PublishedGeneration, progress: Progress) -> None:
        self.remote = remote
        self.wanted = wanted
        self.progress = progress
        self.objects = self.bytes = 0
        self._lock = threading.Lock()

    def block(self, digest: str) -> bytes:
        """Return a block of the database.

        :raises RemoteDamagedError: its object is missing or damaged.
        """
        name = block_object(digest)
        data = self.remote.read(name, most_packed(self.wanted.database.block_bytes))
        if data is None:
            raise make_damage_error(self.remote, name, missing=True)
        block = unpack_block(data, digest, self.wanted.database.block_bytes)
        if block is None:
            raise make_damage_error(self.remote, name)
        self._count(len(data))
        return block

    def file(self, entry: FileEntry, target: Path) -> None:
        """Write a file of ``segments/``, durably.

        :raises RemoteDamagedError: its object is missing or damaged.
        """
        name, part = file_object(entry), target.with_name(f"{target.name}.{_PART}")
        if not self.remote.download(name, part):
            raise make_damage_error(self.remote, name, missing=True)
        if not _is_intact(part, entry):
            raise make_damage_error(self.remote, name)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
        self._count(entry.bytes)

    def _count(self, size: int) -> None:
        with self._lock:
            self.objects += 1
            self.bytes += size


@contextmanager
def _making(target: Layout) -> Iterator[Layout]:
    """Yield the layout of the new copy; what a killed pull has left in it is kept."""
    copy = Layout(target.root.with_name(f"{target.root.name}.pull.tmp"))
    try:
        copy.root.mkdir(parents=True, exist_ok=True)
        lock = WriterLock(copy)
    except PermissionError as error:
        raise IndexStoreError(
            f"{copy.root} cannot be written: change the permissions of {copy.root.parent}, or pull "
            "to another folder"
        ) from error
    with lock:
        # as for a restore: a killed run may have exchanged the two folders
        fsync_folder(target.root.parent)
        yield copy


def _fill(download: _Download, copy: Layout, target: Layout) -> None:
    wanted = download.wanted
    _tidy(copy, {entry.file for entry in wanted.manifest.files})
    _take_files(download, copy, target)
    part = copy.root / f"{copy.database.name}.{_PART}"
    sources = [path for path in (target.database, copy.database) if path.exists()]
    assemble(part, wanted.database, sources, download.block, download.progress)
    part.replace(copy.database)
    _check_database(copy, download)
    copy.generation(wanted.generation).mkdir(parents=True)
    write_durably(copy.manifest(wanted.generation), dumps(wanted.manifest))
    write_current(copy, wanted.generation)


def _tidy(copy: Layout, files: set[str]) -> None:
    """Delete what a killed pull has left, but for the parts that can be used."""
    copy.segments.mkdir(exist_ok=True)
    kept = {copy.lock, copy.segments, copy.database, copy.root / f"{copy.database.name}.{_PART}"}
    for path in copy.root.iterdir():
        if path.is_dir() and path not in kept:
            shutil.rmtree(path)
        elif path not in kept:
            path.unlink()
    for path in copy.segments.iterdir():
        if path.name not in files:
            path.unlink()


def _take_files(download: _Download, copy: Layout, target: Layout) -> None:
    files = download.wanted.manifest.files
    for done, entry in enumerate(files, 1):
        path, before = copy.segments / entry.file, target.segments / entry.file
        if not _is_intact(path, entry):
            path.unlink(missing_ok=True)
            if _is_intact(before, entry):
                link_file(before, path)
            else:
                download.file(entry, path)
        download.progress("files", done, len(files))


def _is_intact(path: Path, entry: FileEntry) -> bool:
    try:
        with path.open("rb") as file:
            return (
                os.fstat(file.fileno()).st_size == entry.bytes
                and hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
            )
    except FileNotFoundError:
        return False


def _check_database(copy: Layout, download: _Download) -> None:
    """Check that a file is a database, and belongs to its generation.

    :raises RemoteDamagedError: its blocks are those that were pushed, but make no such database.
    """
    number = download.wanted.generation
    try:
        with closing(connect_reader(copy.database)) as connection:
            meta = read_meta(connection)
            check_seal(connection, required=True)
            held = meta.oldest <= number <= meta.staged
    except (sqlite3.Error, StoreCorruptError):
        held = False
    if not held:
        raise make_damage_error(download.remote, f"generation {number}")
