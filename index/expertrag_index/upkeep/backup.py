"""Backs a store up while it is served and written, and restores it.

A backup is a store of one generation, with the file SHA256SUMS over all its files, written last
(``sha256sum -c`` also reads it). It is made in a folder of its own, checked like any store, and
then renamed. A backup or a restored store that is there is whole, whenever the process is killed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from expertrag_common.durable import flush_folders, write_durably
from expertrag_index.build.publish import derive, publish
from expertrag_index.build.settings import WriterSettings
from expertrag_index.engines.address import forget_identity
from expertrag_index.errors import IndexStoreError, StoreCorruptError, StoreNotFoundError
from expertrag_index.search.segment_files import map_verified
from expertrag_index.store.current import write_current
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import Manifest, dumps
from expertrag_index.store.opening import Generation, open_published, read_manifest
from expertrag_index.store.schema import connect_writer, write_meta
from expertrag_index.store.seal import write_seal
from expertrag_index.store.transaction import transaction
from expertrag_index.types import BackupReport, Progress, silent
from expertrag_index.upkeep.debris import recover
from expertrag_index.upkeep.exchange import alone, empty, making, put_in_place
from expertrag_index.upkeep.verify import check

SUMS = "SHA256SUMS"

_ATTEMPTS = 5  # a writer may delete the files of a generation while they are being copied
_PAGES = 1024
_BLOCK = 1 << 20
_ANOTHER = "restore another backup"


def backup(
    store: Path, out: Path, *, force: bool = False, progress: Progress | None = None
) -> BackupReport:
    """Copy the published generation of a store, and check the copy. Writers need not stop.

    :param force: replace the backup at ``out``.
    :raises StoreNotFoundError: there is no store.
    :raises StoreCorruptError: the store is damaged.
    :raises IndexStoreError: ``out`` exists.
    :raises StorageFullError: no space left.
    """
    started, report = time.monotonic(), progress or silent
    source, target = Layout(Path(store)), Path(out)
    if target.exists() and not (force and (target / SUMS).exists()):
        cure = "choose another name" if force else "choose another name, or replace it with --force"
        raise IndexStoreError(f"{target} exists{' and is not a backup' * force}: {cure}")
    with store_errors(source), making(target, "backup") as copy:
        _copy_store(source, copy, report)
        result = check(copy, report)
        if result.problems:
            raise StoreCorruptError(f"the copy of {source.root} has damage: {result.problems[0]}")
        _write_sums(copy)
        put_in_place(copy.root, target)
    size = sum(file.stat().st_size for file in _files(target))
    seconds = time.monotonic() - started
    return BackupReport(result.generation, result.documents, result.chunks, size, seconds)


def restore(
    backup: Path, store: Path, *, force: bool = False, progress: Progress | None = None
) -> BackupReport:
    """Make a store from a backup. A server that has it open goes over to the restored generation.

    :param force: replace the store there, as its only writer. The restored generation gets the
        number after its last one.
    :raises StoreNotFoundError: there is no backup.
    :raises StoreCorruptError: the backup is incomplete or damaged.
    :raises StoreLockedError: another process is writing to the store.
    :raises IndexStoreError: there is a store already, or another folder.
    :raises StorageFullError: no space left.
    """
    started, report = time.monotonic(), progress or silent
    source, target = Path(backup), Layout(Path(store))
    _check_target(target, force=force)
    sums = _read_sums(source)
    with making(target.root, "restored") as copy, alone(target):
        with store_errors(target):
            size, damaged = _copy_files(source, copy, sums, report)
        if damaged:
            raise StoreCorruptError(f"{source / damaged} is damaged: {_ANOTHER}")
        with store_errors(target):
            manifest = _renumber(copy, max(target.generation_numbers(), default=0) + 1)
            Index.open(copy.root).close()
            put_in_place(copy.root, target.root)
    seconds = time.monotonic() - started
    return BackupReport(manifest.generation, manifest.documents, manifest.chunks, size, seconds)


def _copy_store(source: Layout, copy: Layout, progress: Progress) -> None:
    for attempt in range(_ATTEMPTS):
        generation = open_published(source)
        try:
            if generation.degradation:
                raise StoreCorruptError(generation.degradation)
            _copy_derived(source, copy, generation.manifest)
            _copy_database(generation, copy, progress)
            _make_independent(copy, generation.manifest)
            return
        except StoreCorruptError:
            published = open_published(source)
            published.pool.close()
            same = published.manifest.generation == generation.manifest.generation
            if same or attempt + 1 == _ATTEMPTS:
                raise
            empty(copy)
            copy.segments.mkdir()
            copy.generations.mkdir()
        finally:
            generation.pool.close()


def _copy_derived(source: Layout, copy: Layout, manifest: Manifest) -> None:
    for entry in manifest.files:
        with map_verified(source, entry) as content:
            write_durably(copy.segments / entry.file, content)
    copy.generation(manifest.generation).mkdir()
    write_durably(copy.manifest(manifest.generation), dumps(manifest))
    write_current(copy, manifest.generation)


def _copy_database(generation: Generation, copy: Layout, progress: Progress) -> None:
    """Copy the pages that the snapshot of an open generation sees, whatever is written since."""

    def report(_status: int, remaining: int, total: int) -> None:
        progress("copy", total - remaining, total)

    with (
        generation.pool.connection() as connection,
        closing(sqlite3.connect(copy.database)) as target,
    ):
        connection.backup(target, pages=_PAGES, progress=report)


def _make_independent(copy: Layout, manifest: Manifest) -> None:
    """Make a copy a store of its own: what an engine holds belongs to the original."""
    with closing(connect_writer(copy.database, create=False)) as connection:
        forget_identity(connection)
        if manifest.engine is None:
            return
        result = derive(copy, connection, manifest.generation, None, WriterSettings())
    result = replace(result, created_at=manifest.created_at, calibration=manifest.calibration)
    write_durably(copy.manifest(manifest.generation), dumps(result))


def _check_target(target: Layout, *, force: bool) -> None:
    if not target.root.exists():
        return
    if not target.root.is_dir():
        raise IndexStoreError(f"{target.root} is a file: give a folder for the store")
    if not any(target.root.iterdir()):
        return
    if not target.database.exists() and not target.generations.exists():
        raise IndexStoreError(f"{target.root} is not a store and not empty: give another folder")
    if not force:
        raise IndexStoreError(
            f"{target.root} exists: restore to another folder, or replace it with --force"
        )


def _renumber(copy: Layout, number: int) -> Manifest:
    """Publish the generation of a copy under ``number``, if that is higher than its own."""
    with closing(connect_writer(copy.database, create=False)) as connection:
        own = recover(copy, connection)
        manifest = read_manifest(copy, own)
        if own >= number:
            return manifest
        with transaction(connection):
            write_meta(connection, staged=number, oldest=number)
            write_seal(connection)
        manifest = replace(manifest, generation=number)
        shutil.rmtree(copy.generation(own))  # the rows are no longer of this generation
        publish(copy, manifest)
    return manifest


def _write_sums(copy: Layout) -> None:
    lines = [
        f"{_sum_of(file)}  {file.relative_to(copy.root).as_posix()}\n"
        for file in sorted(_files(copy.root))
    ]
    flush_folders(copy.root)
    write_durably(copy.root / SUMS, "".join(lines).encode())


def _read_sums(backup: Path) -> dict[str, str]:
    """Read the checksums of a backup, by path."""
    if not backup.is_dir():
        raise StoreNotFoundError(
            f"no backup at {backup}: make one with 'expertrag index backup STORE {backup}'"
        )
    try:
        lines = (backup / SUMS).read_text().splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        lines = []
    sums = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    for name in ("CURRENT", "store.db", *sums):
        if name not in sums or ".." in Path(name).parts or not (backup / name).is_file():
            raise StoreCorruptError(f"{backup} is not a whole backup ({SUMS}, {name}): {_ANOTHER}")
    return sums


def _copy_files(
    source: Path, copy: Layout, sums: dict[str, str], progress: Progress
) -> tuple[int, str]:
    """Copy the files of a backup; return their bytes, and the first whose checksum differs."""
    size = 0
    for done, (name, expected) in enumerate(sorted(sums.items()), 1):
        target = copy.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        state = hashlib.sha256()
        with (source / name).open("rb") as reader, target.open("wb") as writer:
            while block := reader.read(_BLOCK):
                state.update(block)
                writer.write(block)
                size += len(block)
            writer.flush()
            os.fsync(writer.fileno())
        if state.hexdigest() != expected:
            return size, name
        progress("restore", done, len(sums))
    flush_folders(copy.root)
    return size, ""


def _files(root: Path) -> list[Path]:
    skipped = {root / "LOCK", root / SUMS}
    return [path for path in root.rglob("*") if path.is_file() and path not in skipped]


def _sum_of(file: Path) -> str:
    state = hashlib.sha256()
    with file.open("rb") as reader:
        while block := reader.read(_BLOCK):
            state.update(block)
        os.fsync(reader.fileno())
    return state.hexdigest()
