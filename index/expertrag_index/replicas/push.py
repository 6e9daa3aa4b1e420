"""Publishes the current generation of a store at a URL; uploads only what is missing there."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from expertrag_common.durable import link_file
from expertrag_index.errors import (
    RemoteConflictError,
    RemoteDamagedError,
    StoreCorruptError,
    StoreFormatError,
)
from expertrag_index.replicas.blocks import block_bytes_of, cut, pack_block
from expertrag_index.replicas.garbage import LEAST_KEPT, collect, objects_of
from expertrag_index.replicas.published import (
    CURRENT,
    DatabaseBlocks,
    PublishedGeneration,
    block_object,
    current_line,
    file_object,
    generation_object,
    generations_at,
    read_line,
    read_published,
    serialise,
)
from expertrag_index.replicas.remote import WORKERS, Remote, open_remote
from expertrag_index.store.current import read_current
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import Manifest
from expertrag_index.store.opening import read_manifest
from expertrag_index.store.seal import check_seal
from expertrag_index.store.snapshot import SnapshotPool
from expertrag_index.types import Progress, silent
from expertrag_index.upkeep.exchange import making

KEEP = 3
"""Generations that a URL holds, unless the caller says otherwise."""

_ATTEMPTS = 5  # a writer may publish twice while a large store is being read


@dataclass(frozen=True, slots=True)
class PushReport:
    """What a push has done.

    ``objects`` and ``bytes``: what was uploaded, the generation's file included; 0 if the
    generation was there. ``deleted``: objects that no kept generation needs.
    """

    generation: int
    objects: int
    bytes: int
    deleted: int
    seconds: float


def push(
    store: Path,
    url: str,
    *,
    keep: int = KEEP,
    again: bool = False,
    sweep: bool = True,
    progress: Progress | None = None,
) -> PushReport:
    """Publish the current generation of a store. Writers and servers of the store go on.

    Readers see the generation before until everything of this one is there.

    :param url: a folder, or a URL that fsspec opens.
    :param keep: generations to keep there, at least 2; older ones are deleted.
    :param again: upload everything, also what is there, which may be damaged.
    :param sweep: also delete what killed pushes have left a day ago.
    :raises StoreNotFoundError: there is no store.
    :raises StoreCorruptError: the store is damaged.
    :raises StoreFormatError: it is of an earlier format.
    :raises StoreLockedError: another process is pushing this store.
    :raises RemoteConflictError: what is there is as new or newer, and not this store's past.
    :raises RemoteUnreachableError: the URL cannot be read or written.
    :raises StorageFullError: no space left, here or there.
    """
    started, report = time.monotonic(), progress or silent
    remote, source = open_remote(url), Layout(Path(store))
    with store_errors(source):
        manifest = _read_source(source)
        before = _before(remote, manifest, again)
        if before.there and not again:
            return PushReport(manifest.generation, 0, 0, 0, time.monotonic() - started)
        with _snapshot(source) as (manifest, copy):
            before = _before(remote, manifest, again)
            upload = _Upload(remote, _find_reusable(remote, manifest, keep, again))
            published = _upload_all(upload, copy, manifest, report)
            data = serialise(published)
            upload.write(generation_object(manifest.generation, data), data)
            remote.settle()
            _publish(remote, before.line, manifest.generation, data)
    deleted = collect(remote, manifest.generation, keep, sweep=sweep)
    seconds = time.monotonic() - started
    return PushReport(manifest.generation, upload.objects, upload.bytes, deleted, seconds)


class _Upload:
    """Uploads objects that are not held yet, and counts them."""

    def __init__(self, remote: Remote, held: frozenset[str]) -> None:
        self.remote = remote
        self.held = held
        self.objects = self.bytes = 0
        self._lock = threading.Lock()

    def write(self, name: str, data: bytes) -> None:
        """Upload an object."""
        self.remote.write(name, data)
        self._count(len(data))

    def file(self, name: str, path: Path) -> None:
        """Upload an object from a file."""
        self.remote.upload(name, path)
        self._count(path.stat().st_size)

    def _count(self, size: int) -> None:
        with self._lock:
            self.objects += 1
            self.bytes += size


def _read_source(source: Layout) -> Manifest:
    manifest = read_manifest(source, read_current(source))
    if manifest.is_outdated:
        raise StoreFormatError(
            f"{source.root} was written by an earlier version: run 'expertrag index repair "
            f"{source.root}' once, which keeps its documents and vectors"
        )
    return manifest


@dataclass(frozen=True, slots=True)
class _Before:
    """What is published before a push. ``there``: the generation that is to be pushed."""

    line: str
    there: bool = False


def _before(remote: Remote, manifest: Manifest, again: bool) -> _Before:
    """Return what is published at a URL.

    :param again: it may be damaged.
    :raises RemoteConflictError: the store must not replace it.
    """
    line, number = read_line(remote), manifest.generation
    if not line:
        return _Before(line)
    try:
        published = read_published(remote)
    except RemoteDamagedError:
        if not again:
            raise
        return _Before(line)
    if published.generation < number or published.manifest == manifest:
        return _Before(published.line, published.generation == number)
    difference = "is another one" if published.generation == number else "is older"
    raise RemoteConflictError(
        f"{remote.address} has generation {published.generation} of "
        f"{published.manifest.created_at}, and generation {number} of this store {difference}: it "
        "is another store, or was restored from a backup. Push it to another URL, which readers "
        "then follow"
    )


@contextmanager
def _snapshot(source: Layout) -> Iterator[tuple[Manifest, Layout]]:
    """Take the current generation: its database is copied, its files get a second name."""
    with making(source.root, "push") as copy:
        try:
            yield _take_with_retries(source, copy), copy
        finally:
            shutil.rmtree(copy.root, ignore_errors=True)


def _take_with_retries(source: Layout, copy: Layout) -> Manifest:
    for attempt in range(_ATTEMPTS):
        manifest = _read_source(source)
        try:
            _take(source, copy, manifest)
            return manifest
        except (StoreCorruptError, FileNotFoundError) as error:
            if attempt + 1 == _ATTEMPTS or read_current(source) == manifest.generation:
                raise StoreCorruptError(str(error)) from error
    raise AssertionError("unreachable")


def _take(source: Layout, copy: Layout, manifest: Manifest) -> None:
    for entry in manifest.files:
        second = copy.segments / entry.file
        second.unlink(missing_ok=True)
        link_file(source.segments / entry.file, second)  # a writer may delete the first name
    pool = SnapshotPool(source.database)
    try:
        if not pool.meta.oldest <= manifest.generation <= pool.meta.staged:
            raise StoreCorruptError(
                f"{source.database} does not hold generation {manifest.generation}"
            )
        copy.database.unlink(missing_ok=True)
        with pool.connection() as connection, closing(sqlite3.connect(copy.database)) as target:
            check_seal(connection)
            connection.backup(target)
    finally:
        pool.close()


def _find_reusable(remote: Remote, manifest: Manifest, keep: int, again: bool) -> frozenset[str]:
    """Return the names of objects that are there and will stay."""
    if again:
        return frozenset()
    there = generations_at(remote)
    older = sorted((number for number in there if number < manifest.generation), reverse=True)
    kept = older[: max(keep, LEAST_KEPT) - 1]
    try:
        return objects_of(remote, [name for number in kept for name in there[number]])
    except (RemoteDamagedError, StoreFormatError):
        return frozenset()


def _upload_all(
    upload: _Upload, copy: Layout, manifest: Manifest, progress: Progress
) -> PublishedGeneration:
    database = cut(copy.database, block_bytes_of(copy.database.stat().st_size))
    jobs = [*_file_jobs(upload, copy, manifest), *_block_jobs(upload, copy.database, database)]
    with ThreadPoolExecutor(WORKERS) as workers:
        pending = [workers.submit(job) for job in jobs]
        try:
            for done, each in enumerate(pending, 1):
                each.result()
                progress("upload", done, len(jobs))
        finally:
            workers.shutdown(cancel_futures=True)
    return PublishedGeneration(manifest, database)


def _file_jobs(upload: _Upload, copy: Layout, manifest: Manifest) -> Iterator[Callable[[], None]]:
    for entry in manifest.files:
        name, path = file_object(entry), copy.segments / entry.file
        if name in upload.held:
            continue

        def run(name: str = name, path: Path = path, digest: str = entry.sha256) -> None:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    raise StoreCorruptError(f"{path.name} is damaged (its checksum differs)")
            upload.file(name, path)

        yield run


def _block_jobs(
    upload: _Upload, path: Path, database: DatabaseBlocks
) -> Iterator[Callable[[], None]]:
    places = {digest: index for index, digest in enumerate(database.blocks)}
    for digest, index in places.items():
        name, offset = block_object(digest), index * database.block_bytes
        if name in upload.held:
            continue

        def run(name: str = name, offset: int = offset) -> None:
            upload.write(name, pack_block(path, offset, database.block_bytes))

        yield run


def _publish(remote: Remote, before: str, number: int, data: bytes) -> None:
    """Write CURRENT, unless somebody else has done so since this push began.

    The objects of that push are not known here, and may be deleted.
    """
    if read_line(remote) != before:
        raise RemoteConflictError(
            f"another process has pushed to {remote.address} meanwhile: run the command again, and "
            "let one process push there"
        )
    remote.write(CURRENT, current_line(number, data).encode())
    remote.settle()
