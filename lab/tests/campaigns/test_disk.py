"""The model of a disk that loses what was not flushed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from disk import Disk, Tree, read_tree, write_tree
from recording import DiskCall, FileCall


def write(offset: int, data: bytes, inode: int = 5) -> FileCall:
    return FileCall(DiskCall.WRITE, "a", inode=inode, offset=offset, data=data)


CREATE = FileCall(DiskCall.CREATE, "a", inode=5)
FLUSH_FILE = FileCall(DiskCall.SYNC, "a", inode=5)
FLUSH_FOLDER = FileCall(DiskCall.SYNC, "")
MOVE = FileCall(DiskCall.RENAME, "a", "b")


def after(*operations: FileCall) -> Disk:
    disk = Disk()
    for operation in operations:
        disk.apply(operation)
    return disk


def states(disk: Disk, loss: str) -> list[Tree]:
    """Return the distinct states that 300 losses leave."""
    found = {tuple(sorted(disk.left(loss, random.Random(i)).items())) for i in range(300)}
    return [dict(items) for items in sorted(found)]


@pytest.mark.parametrize(
    ("operations", "left"),
    [
        ((CREATE, write(0, b"one")), {}),
        ((CREATE, write(0, b"one"), FLUSH_FILE), {}),  # its name was not flushed
        ((CREATE, write(0, b"one"), FLUSH_FOLDER), {"a": b""}),
        ((CREATE, write(0, b"one"), FLUSH_FILE, FLUSH_FOLDER), {"a": b"one"}),
        ((CREATE, write(0, b"one"), FLUSH_FILE, FLUSH_FOLDER, write(1, b"-")), {"a": b"one"}),
        ((CREATE, FLUSH_FOLDER, MOVE), {"a": b""}),
        ((CREATE, FLUSH_FOLDER, MOVE, FLUSH_FOLDER), {"b": b""}),
        ((CREATE, FLUSH_FOLDER, FileCall(DiskCall.REMOVE, "a")), {"a": b""}),
    ],
)
def test_what_was_not_flushed_is_dropped(operations: tuple[FileCall, ...], left: Tree) -> None:
    assert states(after(*operations), "dropped") == [left]


def test_nothing_is_lost_with_the_process() -> None:
    disk = after(CREATE, write(0, b"one two"), write(3, b"-"), MOVE)
    assert states(disk, "kept") == [{"b": b"one-two"}]


def test_later_writes_persist_without_earlier_ones() -> None:
    disk = after(CREATE, FLUSH_FOLDER, write(0, b"a" * 512), write(512, b"b" * 512))
    contents = {tree["a"] for tree in states(disk, "reordered")}
    assert bytes(512) + b"b" * 512 in contents
    assert {b"", b"a" * 512, b"a" * 512 + b"b" * 512} <= contents


def test_a_write_is_torn_at_sectors_only() -> None:
    disk = after(CREATE, FLUSH_FOLDER, write(256, b"x" * 1024))
    for loss in ("torn", "reordered"):
        contents = {bytes(tree["a"] or b"") for tree in states(disk, loss)}
        assert bytes(256) + b"x" * 256 in contents, "the first sector alone"
        for content in contents:
            parts = (content[256:512], content[512:1024], content[1024:])
            assert all(len(set(part)) <= 1 for part in parts)


def test_a_torn_moment_keeps_what_came_before() -> None:
    disk = after(CREATE, FLUSH_FOLDER, write(0, b"1"), write(1, b"2"), write(2, b"3"))
    contents = {tree["a"] for tree in states(disk, "torn")}
    # a new size may persist before the byte itself
    assert contents == {b"", b"\0", b"1", b"1\0", b"12", b"12\0", b"123"}


def test_a_rename_is_atomic() -> None:
    replaced = FileCall(DiskCall.CREATE, "b", inode=6)
    disk = after(replaced, CREATE, write(0, b"new"), FLUSH_FILE, FLUSH_FOLDER, MOVE)
    assert states(disk, "reordered") == [{"a": b"new", "b": b""}, {"b": b"new"}]


def test_an_exchange_is_atomic() -> None:
    other = FileCall(DiskCall.CREATE, "b", inode=6)
    exchange = FileCall(DiskCall.EXCHANGE, "a", "b")
    disk = after(CREATE, write(0, b"one"), FLUSH_FILE, other, FLUSH_FOLDER, exchange)
    assert states(disk, "reordered") == [{"a": b"", "b": b"one"}, {"a": b"one", "b": b""}]


def test_an_inode_is_used_again() -> None:
    gone = FileCall(DiskCall.REMOVE, "a")
    again = FileCall(DiskCall.CREATE, "c", inode=5)
    assert states(after(CREATE, write(0, b"one"), gone, again), "kept") == [{"c": b""}]


def test_files_that_were_there_are_durable(tmp_path: Path) -> None:
    tree = {"folder": None, "folder/file": b"content", "other": b""}
    write_tree(tree, tmp_path / "disk")
    disk = Disk.of(tmp_path / "disk")
    assert states(disk, "dropped") == [tree]
    assert read_tree(tmp_path / "disk") == tree
