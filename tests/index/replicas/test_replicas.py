"""Generations that are pushed to a folder or an object store, and pulled from there."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import fsspec
import pytest
from store_helper import HashingEmbedder, build, change_database, contents, make_corpus

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import (
    IndexStoreError,
    ReadOnlyReplicaError,
    RemoteConflictError,
    RemoteDamagedError,
    RemoteUnreachableError,
    StoreCorruptError,
    StoreFormatError,
    StoreNotFoundError,
)
from expertrag_index.replicas.garbage import objects_of
from expertrag_index.replicas.published import (
    current_line,
    generation_object,
    generations_at,
    read_published,
)
from expertrag_index.replicas.pull import pull
from expertrag_index.replicas.push import push
from expertrag_index.replicas.remote import open_remote
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.types import Document
from expertrag_index.upkeep.compact import compact
from expertrag_index.upkeep.verify import verify


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 1,000 chunks: a writer adds a file beside those that are there."""
    path = tmp_path_factory.mktemp("large") / "store"
    build(path, HashingEmbedder(), make_corpus(500))
    return path


@pytest.fixture(params=["folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty folder, or an empty object store."""
    if request.param == "folder":
        yield str(tmp_path / "shared" / "notes")
        return
    yield "memory://bucket/notes"
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def add(store: Path, number: int) -> int:
    """Publish a generation with one more document."""
    with IndexWriter.open(store, HashingEmbedder()) as writer:
        return writer.add([Document(f"late{number}", f"Added later, number{number}.")]).generation


def test_a_copy_is_the_store(store: Path, url: str, tmp_path: Path) -> None:
    done = push(store, url)
    assert (done.generation, done.deleted) == (1, 0)
    copied = pull(url, tmp_path / "copy")
    assert (copied.generation, copied.changed) == (1, True)
    assert contents(tmp_path / "copy") == contents(store)
    assert verify(tmp_path / "copy").problems == ()
    with Index.open(tmp_path / "copy") as index:
        assert index.search_lexical("replication number7", k=3)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "shared") == [
        "copy",
        "store",
    ]


def test_only_what_is_missing_is_transferred(large: Path, url: str, tmp_path: Path) -> None:
    store = Path(shutil.copytree(large, tmp_path / "store"))
    first = push(store, url)
    whole = pull(url, tmp_path / "copy")
    assert push(store, url).objects == 0
    assert not pull(url, tmp_path / "copy").changed

    before = read_published(open_remote(url))
    add(store, 1)
    second = push(store, url)
    assert 0 < second.bytes < first.bytes / 4
    update = pull(url, tmp_path / "copy")
    assert update.changed
    assert 0 < update.bytes < whole.bytes / 4
    assert contents(tmp_path / "copy") == contents(store)
    # the generation before is still there, so that nothing of it is uploaded again
    assert objects_at(url) > {*before.objects}


def objects_at(url: str) -> set[str]:
    remote = open_remote(url)
    return {*remote.listing("files"), *remote.listing("blocks")}


def test_files_of_the_copy_before_are_linked(large: Path, tmp_path: Path) -> None:
    store, url = Path(shutil.copytree(large, tmp_path / "store")), str(tmp_path / "shared")
    push(store, url)
    pull(url, tmp_path / "copy")
    inodes = {path.stat().st_ino for path in (tmp_path / "copy" / "segments").iterdir()}
    add(store, 1)
    push(store, url)
    pull(url, tmp_path / "copy")
    after = {path.stat().st_ino for path in (tmp_path / "copy" / "segments").iterdir()}
    assert inodes & after


def test_an_open_copy_is_unaffected(store: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "shared")
    push(store, url)
    pull(url, tmp_path / "copy")
    with Index.open(tmp_path / "copy") as before:
        for number in range(2):
            add(store, number)
            push(store, url)
            pull(url, tmp_path / "copy")
            with Index.open(tmp_path / "copy") as after:
                assert after.generation == number + 2
                assert after.document_text(f"late{number}")
        assert len(before.chunks([hit.key for hit in before.search_lexical("number7", k=9)])) > 0
        assert before.generation == 1


def test_old_generations_are_deleted_and_kept_ones_are_whole(
    store: Path, url: str, tmp_path: Path
) -> None:
    remote = open_remote(url)
    push(store, url, keep=2)
    for number in range(3):
        build(store, HashingEmbedder(), [*make_corpus(60, number + 1), *late_ones(number)])
        assert push(store, url, keep=2).objects
    assert sorted(generations_at(remote)) == [3, 4]
    there = objects_at(url)
    needed = set(read_published(remote).objects)
    assert needed <= there
    # what is left is of the generation before
    assert there == needed | objects_of(remote, generations_at(remote)[3])
    assert pull(url, tmp_path / "copy").generation == 4
    assert contents(tmp_path / "copy") == contents(store)


def late_ones(number: int) -> list[Document]:
    return [Document(f"late{number}", f"Added later, number{number}.")]


def test_what_a_killed_push_has_left_is_deleted_a_day_later(store: Path, tmp_path: Path) -> None:
    url = tmp_path / "shared"
    push(store, str(url))
    old, young = url / "blocks" / ("0" * 64), url / "files" / ("1" * 64)
    for path in (old, young):
        path.write_bytes(b"left")
    os.utime(old, (1, 1))
    add(store, 1)
    push(store, str(url), sweep=False)
    assert old.exists()
    add(store, 2)
    push(store, str(url))
    assert not old.exists()
    assert young.exists()


def test_another_store_does_not_replace_a_newer_one(
    store: Path, url: str, tmp_path: Path, hashing: HashingEmbedder
) -> None:
    add(store, 1)
    push(store, url)
    pull(url, tmp_path / "copy")
    build(tmp_path / "other", hashing, make_corpus(5))
    with pytest.raises(RemoteConflictError, match="generation 1 of this store is older"):
        push(tmp_path / "other", url)
    add(tmp_path / "other", 9)
    with pytest.raises(RemoteConflictError, match="generation 2 of this store is another one"):
        push(tmp_path / "other", url)
    assert not pull(url, tmp_path / "copy").changed


def test_a_copy_does_not_go_back(store: Path, tmp_path: Path, hashing: HashingEmbedder) -> None:
    url = tmp_path / "shared"
    add(store, 1)
    push(store, str(url))
    pull(str(url), tmp_path / "copy")
    shutil.rmtree(url)
    build(tmp_path / "other", hashing, make_corpus(5))
    push(tmp_path / "other", str(url))
    with pytest.raises(RemoteConflictError, match="older than generation 2 of the copy"):
        pull(str(url), tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(store)


def test_a_second_push_meanwhile_is_refused(store: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "shared")
    push(store, url)
    other = Path(shutil.copytree(store, tmp_path / "other"))
    add(store, 1)
    add(other, 2)
    pushed: list[int] = []

    def meanwhile(_stage: str, _done: int, _total: int | None) -> None:
        if not pushed:
            pushed.append(push(other, url).generation)

    with pytest.raises(RemoteConflictError, match=r"pushed to .* meanwhile"):
        push(store, url, progress=meanwhile)
    assert pushed == [2]
    assert pull(url, tmp_path / "copy").generation == 2
    assert contents(tmp_path / "copy") == contents(other)


def test_a_copy_takes_no_writes(store: Path, url: str, tmp_path: Path) -> None:
    push(store, url)
    copy = tmp_path / "copy"
    pull(url, copy)
    for write in (lambda: add(copy, 1), lambda: compact(copy), lambda: verify(copy, repair=True)):
        with pytest.raises(ReadOnlyReplicaError, match="write to the store that is pushed there"):
            write()
    (copy / "REPLICA").unlink()  # as its message says
    assert add(copy, 1) == 2


def test_what_is_no_copy_is_not_replaced(store: Path, url: str, tmp_path: Path) -> None:
    push(store, url)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for path, why in (("store", "a store of its own"), ("notes", "no store"), ("file", "a file")):
        with pytest.raises(IndexStoreError, match=why):
            pull(url, tmp_path / path)
    (tmp_path / "empty").mkdir()
    assert pull(url, tmp_path / "empty").changed


def test_a_url_without_generations(tmp_path: Path) -> None:
    for url in (str(tmp_path / "nowhere"), "memory://nowhere"):
        with pytest.raises(StoreNotFoundError, match=r"expertrag index push STORE"):
            pull(url, tmp_path / "copy")
    with pytest.raises(StoreNotFoundError, match="index build"):
        push(tmp_path / "nowhere", str(tmp_path / "shared"))
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    "url", ["", "https://example.com/notes", "zip::s3://bucket/x", "nosuch://ann:secret@bucket/x"]
)
def test_urls_that_cannot_be_opened(url: str, tmp_path: Path) -> None:
    with pytest.raises(RemoteUnreachableError) as caught:
        pull(url, tmp_path / "copy")
    assert "secret" not in str(caught.value)


def test_a_damaged_store_is_not_pushed(store: Path, tmp_path: Path) -> None:
    segment = next((store / "segments").glob("*.rows"))
    data = bytearray(segment.read_bytes())
    data[100] ^= 1
    segment.write_bytes(data)
    with pytest.raises(StoreCorruptError, match="repair"):
        push(store, str(tmp_path / "shared"))
    assert not (tmp_path / "shared" / "CURRENT").exists()


def test_a_damaged_database_is_not_pushed(store: Path, tmp_path: Path) -> None:
    change_database(store, "UPDATE chunks SET removed_in = 2 WHERE key = 3")
    with pytest.raises(StoreCorruptError, match=r"seal.*repair"):
        push(store, str(tmp_path / "shared"))


@pytest.mark.parametrize("folder", ["generations", "files", "blocks"])
@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_damaged_objects_are_found_and_uploaded_again(
    store: Path, tmp_path: Path, folder: str, how: str
) -> None:
    url = tmp_path / "shared"
    push(store, str(url))
    victim = sorted((url / folder).iterdir())[0]
    if how == "missing":
        victim.unlink()
    else:
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    with pytest.raises(RemoteDamagedError, match=f"{folder}/.* is {how}.*--again"):
        pull(str(url), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    push(store, str(url), again=True)
    pull(str(url), tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(store)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (".rows", "/../../outside.rows"),
        ('"sha256": "', '"sha256": "../'),
        ('"blocks": [\n   "', '"blocks": [\n   "../../x'),
        ('"block_bytes": 16384', '"block_bytes": 1'),
        ('"bytes": ', '"bytes": -'),
        ('"format": 1', '"format": [1'),
        ('"manifest": "', '"manifest": "x'),
    ],
)
def test_names_from_the_url_are_no_paths(store: Path, tmp_path: Path, old: str, new: str) -> None:
    url = tmp_path / "shared"
    push(store, str(url))
    (path,) = (url / "generations").iterdir()
    text = path.read_text()
    assert old in text
    data = text.replace(old, new).encode()
    (url / generation_object(1, data)).write_bytes(data)
    (url / "CURRENT").write_text(current_line(1, data))  # whoever writes there can do this, too
    with pytest.raises(RemoteDamagedError):
        pull(str(url), tmp_path / "copy")
    assert {path.name for path in tmp_path.iterdir()} == {"store", "shared"}


@pytest.mark.parametrize("line", ["", "gen-1", "gen-000001 ../x\n", "../gen-000001 " + "0" * 64])
def test_a_damaged_line(store: Path, tmp_path: Path, line: str) -> None:
    url = tmp_path / "shared"
    push(store, str(url))
    (url / "CURRENT").write_text(line)
    with pytest.raises((RemoteDamagedError, StoreNotFoundError)):
        pull(str(url), tmp_path / "copy")


@pytest.mark.parametrize("folder", ["", "generations", "blocks", "files"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_not_a_file_is_not_read(
    store: Path, tmp_path: Path, folder: str, kind: str
) -> None:
    """A pipe would wait for a writer for ever, and /dev/zero would fill the disk."""
    remote = tmp_path / "remote"
    push(store, str(remote))
    target = min((remote / folder).iterdir()) if folder else remote / "CURRENT"
    target.unlink()
    if kind == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to("/dev/zero")
    with pytest.raises(RemoteUnreachableError, match="not a regular file"):
        pull(str(remote), tmp_path / "copy")


@pytest.mark.parametrize("folder", ["", "generations", "blocks"])
def test_an_object_without_end_is_damaged(store: Path, tmp_path: Path, folder: str) -> None:
    """No more of it is read than one that is whole has: a terabyte would not fit in memory."""
    remote = tmp_path / "remote"
    push(store, str(remote))
    target = min((remote / folder).iterdir()) if folder else remote / "CURRENT"
    target.write_bytes(b"")
    os.truncate(target, 1 << 40)  # a file that is a hole: it needs no space
    with pytest.raises(RemoteDamagedError, match="damaged"):
        pull(str(remote), tmp_path / "copy")


def test_a_newer_format_says_so(store: Path, tmp_path: Path) -> None:
    url = tmp_path / "shared"
    push(store, str(url))
    (path,) = (url / "generations").iterdir()
    data = path.read_text().replace('"format": 1', '"format": 2').encode()
    (url / generation_object(1, data)).write_bytes(data)
    (url / "CURRENT").write_text(current_line(1, data))
    with pytest.raises(StoreFormatError, match="pip install -U"):
        pull(str(url), tmp_path / "copy")


def test_a_damaged_copy_is_made_again(store: Path, url: str, tmp_path: Path) -> None:
    push(store, url)
    copy = tmp_path / "copy"
    pull(url, copy)
    for path in (copy / "store.db", next((copy / "segments").glob("*.faiss"))):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    done = pull(url, copy, again=True)
    assert done.objects == 2
    assert verify(copy).problems == ()
    assert contents(copy) == contents(store)


def test_a_database_that_is_being_written_is_pushed_as_published(
    store: Path, tmp_path: Path
) -> None:
    """Rows that a writer has staged, and not published, are not seen in the copy."""
    url = str(tmp_path / "shared")
    with closing(sqlite3.connect(store / "store.db")) as connection:
        connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'staged'")
        connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'epoch'")
        from expertrag_index.store.seal import write_seal

        write_seal(connection)
        connection.commit()
        push(store, url)
    pull(url, tmp_path / "copy")
    with Index.open(tmp_path / "copy") as index:
        assert (index.generation, index.degradation) == (1, "")
    assert Layout(tmp_path / "copy").generation_numbers() == [1]
