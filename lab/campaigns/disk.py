"""A model of a disk that may lose whatever was not flushed, and its states after a power loss.

A file's content is durable once it was flushed (fsync or fdatasync), and a name once its folder
was: POSIX promises no more. Until then each write, truncation and change of a name may be lost
alone, whatever came before or after it, and of a write each sector. A rename is atomic, and so is
an exchange of two names.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from recording import DiskCall, FileCall

SECTORS = (512, 4096)
LOSSES = ("kept", "dropped", "torn", "reordered")
"""What may happen to changes that were not flushed.

kept: nothing is lost, as when only the process dies. dropped: all are lost. torn: those after one
moment are lost, and of a write at that moment a part. reordered: each is lost or not by chance,
so that later ones persist without earlier ones.
"""

Tree = Mapping[str, bytes | None]
"""Files by relative path; None: a folder."""


@dataclass(slots=True)
class _Change:
    """A change that is not durable yet. ``number``: its place among all changes."""

    number: int


@dataclass(slots=True)
class _Write(_Change):
    """Bytes written at an offset; ``data`` None: the file was cut or extended to ``offset``."""

    offset: int
    data: bytes | None


@dataclass(slots=True)
class _Names(_Change):
    """New meanings of names in one folder; None: the name is gone."""

    names: Mapping[str, _File | _Folder | None]


@dataclass(slots=True)
class _File:
    durable: bytes = b""
    pending: list[_Write] = field(default_factory=list)


@dataclass(slots=True)
class _Folder:
    durable: dict[str, _File | _Folder] = field(default_factory=dict)
    pending: list[_Names] = field(default_factory=list)

    def now(self) -> dict[str, _File | _Folder]:
        """Return the names as a running process sees them."""
        return _named(self.durable, self.pending)


Fate = Callable[[_Change, int], bool]
"""Whether a change persists, or the sector of a write with this number."""


class Disk:
    """Follows recorded operations, and tells what could be left of them at any moment."""

    def __init__(self) -> None:
        self._root = _Folder()
        self._nodes: dict[int, _File | _Folder] = {}
        self._count = 0

    @classmethod
    def of(cls, folder: Path) -> Disk:
        """Start with the files of a folder, all of them durable."""
        disk = cls()
        disk._root = disk._read(folder)
        return disk

    def _read(self, folder: Path) -> _Folder:
        read = _Folder()
        for path in folder.iterdir():
            node = self._read(path) if path.is_dir() else _File(path.read_bytes())
            self._nodes[path.stat().st_ino] = read.durable[path.name] = node
        return read

    def apply(self, operation: FileCall) -> None:
        """Follow one operation.

        :raises ValueError: a rename into another folder, which the model does not have.
        """
        self._count += 1
        number = self._count
        if operation.call in (DiskCall.CREATE, DiskCall.MAKE_FOLDER):
            made = _File() if operation.call is DiskCall.CREATE else _Folder()
            self._nodes[operation.inode] = made
            self._rename(number, operation.path, made)
        elif operation.call is DiskCall.REMOVE:
            self._rename(number, operation.path, None)
        elif operation.call in (DiskCall.RENAME, DiskCall.EXCHANGE):
            self._move(number, operation)
        elif operation.call is DiskCall.SYNC:
            self._flush(self._nodes[operation.inode] if operation.path else self._root)
        else:
            file = self._nodes[operation.inode]
            assert isinstance(file, _File)
            data = operation.data if operation.call is DiskCall.WRITE else None
            file.pending.append(_Write(number, operation.offset, data))

    def left(self, loss: str, rng: random.Random) -> Tree:
        """Return the files after a power loss at this moment.

        :param loss: one of ``LOSSES``.
        """
        sector = rng.choice(SECTORS)
        fate = _fate(loss, [change.number for change in _pending(self._root)], rng)
        found: dict[str, bytes | None] = {}
        _collect(self._root, "", fate, sector, found)
        return found

    def _folder(self, path: str) -> tuple[_Folder, str]:
        *parents, name = path.split("/")
        folder = self._root
        for parent in parents:
            node = folder.now()[parent]
            assert isinstance(node, _Folder)
            folder = node
        return folder, name

    def _rename(self, number: int, path: str, node: _File | _Folder | None) -> None:
        folder, name = self._folder(path)
        folder.pending.append(_Names(number, {name: node}))

    def _move(self, number: int, operation: FileCall) -> None:
        (old, name), (new, other) = self._folder(operation.path), self._folder(operation.target)
        if old is not new:
            raise ValueError(f"{operation}: renames between folders are not modelled")
        now = old.now()
        left = now[other] if operation.call is DiskCall.EXCHANGE else None
        old.pending.append(_Names(number, {name: left, other: now[name]}))

    def _flush(self, node: _File | _Folder) -> None:
        if isinstance(node, _File):
            node.durable = _written(node, _everything, SECTORS[0])
        else:
            node.durable = node.now()
        node.pending.clear()


def write_tree(tree: Tree, folder: Path) -> None:
    """Write files below a new folder."""
    folder.mkdir(parents=True)
    for path, data in sorted(tree.items()):  # a folder comes before its files
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)


def read_tree(folder: Path) -> Tree:
    """Read all files below a folder, except SQLite's shared memory."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if not path.name.endswith("-shm")
    }


def _everything(change: _Change, sector: int) -> bool:
    return True


def _fate(loss: str, numbers: list[int], rng: random.Random) -> Fate:
    if loss == "kept":
        return _everything
    if loss == "dropped":
        return lambda change, sector: False
    if loss == "torn":
        moment = rng.choice(numbers) if numbers else 0
        # of the write at that moment, some sectors in any order, as disks do
        return lambda change, sector: (
            change.number < moment or (change.number == moment and rng.random() < 0.5)
        )
    share = rng.choice((0.2, 0.5, 0.8))
    persists = {number: rng.random() for number in numbers}
    whole = rng.random() < 0.5  # whether writes are lost as a whole, or sector by sector
    return lambda change, sector: (
        persists[change.number] < share if whole or sector < 0 else rng.random() < share
    )


def _pending(node: _File | _Folder) -> Iterator[_Change]:
    """Yield what is not durable of everything that a name leads to, now or before."""
    yield from node.pending
    if isinstance(node, _Folder):
        nodes = [*node.durable.values()]
        for change in node.pending:
            nodes += [node for node in change.names.values() if node is not None]
        for inner in {id(node): node for node in nodes}.values():
            yield from _pending(inner)


def _collect(
    folder: _Folder, prefix: str, fate: Fate, sector: int, found: dict[str, bytes | None]
) -> None:
    kept = [change for change in folder.pending if fate(change, -1)]
    for name, node in _named(folder.durable, kept).items():
        if isinstance(node, _File):
            found[prefix + name] = _written(node, fate, sector)
        else:
            found[prefix + name] = None
            _collect(node, f"{prefix}{name}/", fate, sector, found)


def _named(
    names: Mapping[str, _File | _Folder], changes: list[_Names]
) -> dict[str, _File | _Folder]:
    merged: dict[str, _File | _Folder | None] = dict(names)
    for change in changes:
        merged.update(change.names)
    return {name: node for name, node in merged.items() if node is not None}


def _written(file: _File, fate: Fate, sector: int) -> bytes:
    content = bytearray(file.durable)
    for write in file.pending:
        if write.data is None:
            if fate(write, -1):
                _resize(content, write.offset)
        else:
            for number, (start, end) in enumerate(_sectors(write.offset, len(write.data), sector)):
                if fate(write, number):
                    _resize(content, max(len(content), end))
                    content[start:end] = write.data[start - write.offset : end - write.offset]
                elif fate(write, number):  # the size persists without the data
                    _resize(content, max(len(content), end))
    return bytes(content)


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _sectors(offset: int, size: int, sector: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a write that lie in one sector each."""
    start = offset
    while start < offset + size:
        end = min(offset + size, (start // sector + 1) * sector)
        yield start, end
        start = end
