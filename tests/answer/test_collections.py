"""Collections are opened once, closed when memory is short, and created and dropped whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import OpenPipeline, wait_until

from expertrag.answer.collections import DEFAULT, Collections
from expertrag.answer.pipeline import Pipeline
from expertrag.api.errors import Conflict, InvalidArgument, NotFound
from expertrag.api.types import RetrieveRequest
from expertrag_index.build.writer import IndexWriter

ROSES = RetrieveRequest("roses")


@pytest.fixture
def opened() -> list[str]:
    """Names of the stores that were opened, in order."""
    return []


@pytest.fixture
def open_store(
    open_pipeline: OpenPipeline, built_store: Path, opened: list[str]
) -> Callable[[Path], Pipeline]:
    """Opens the same store under any name."""

    def open_it(path: Path) -> Pipeline:
        opened.append(path.name)
        return open_pipeline(store=built_store)

    return open_it


def test_a_collection_is_opened_once_by_many_threads(
    open_store: Callable[[Path], Pipeline], opened: list[str]
) -> None:
    collections = Collections(open_store, {"a": Path("a"), "b": Path("b")})
    barrier = threading.Barrier(8)

    def search() -> int:
        barrier.wait()
        with collections.use("a") as pipeline:
            return len(pipeline.retrieve(ROSES).passages)

    with ThreadPoolExecutor(8) as pool:
        found = [future.result() for future in [pool.submit(search) for _ in range(8)]]
    assert found == [5] * 8
    assert opened == ["a"]
    assert [state.loaded for state in collections.states()] == [True, False]
    collections.close()


def test_the_least_recently_used_is_closed_if_no_call_uses_it(
    open_store: Callable[[Path], Pipeline], opened: list[str], open_pipeline: OpenPipeline
) -> None:
    names = (DEFAULT, "a", "b", "c")
    size = open_pipeline().memory_bytes
    collections = Collections(open_store, {name: Path(name) for name in names})
    collections._room = 3 * size
    for name in names[:3]:
        with collections.use(name):
            pass
    with collections.use("a") as running:
        with collections.use("c"):
            pass  # b is closed: a runs, and the default stays
        assert running.retrieve(ROSES).passages
    loaded = {state.key for state in collections.states() if state.loaded}
    assert loaded == {DEFAULT, "a", "c"}
    with collections.use("b") as again:
        assert again.retrieve(ROSES).passages
    assert opened == [DEFAULT, "a", "b", "c", "b"]
    collections.close()


def test_few_collections_are_open_at_a_time_however_small(
    open_store: Callable[[Path], Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expertrag.answer.collections._MOST_OPEN", 2)
    collections = Collections(open_store, {name: Path(name) for name in "abcd"})
    for name in "abcad":
        with collections.use(name):
            pass
    assert [state.key for state in collections.states() if state.loaded] == ["a", "d"]
    collections.close()


def test_what_a_crash_left_is_swept(
    open_store: Callable[[Path], Pipeline], tmp_path: Path, embedder: Any
) -> None:
    def create(path: Path) -> None:
        with IndexWriter.open(path, embedder) as writer:
            writer.build(())

    def crash(path: Path) -> None:
        create(path)
        raise KeyboardInterrupt

    folder = tmp_path / "collections"
    for made in (create, crash):
        collections = Collections(open_store, {}, folder=folder, create_store=made)
        key = f"acme/{made.__name__}"
        if made is crash:
            with pytest.raises(KeyboardInterrupt):
                collections.create(key)
        else:
            collections.create(key)
    (folder / ".dropped-x").mkdir()
    (folder / ".new-x").mkdir()
    again = Collections(open_store, {}, folder=folder)
    assert [state.key for state in again.states()] == ["acme/create"]
    assert sorted(path.name for path in folder.iterdir()) == ["acme"]
    with pytest.raises(Conflict):
        again.create("acme/other")  # no way to create an empty store


def test_a_drop_waits_for_running_calls(
    open_store: Callable[[Path], Pipeline], tmp_path: Path, embedder: Any
) -> None:
    def create(path: Path) -> None:
        with IndexWriter.open(path, embedder) as writer:
            writer.build(())

    collections = Collections(open_store, {}, folder=tmp_path, create_store=create)
    collections.create("a")
    with ThreadPoolExecutor(1) as pool:
        with collections.use("a") as running:
            dropping = pool.submit(collections.drop, "a")
            wait_until(lambda: not collections.states())
            with pytest.raises(NotFound), collections.use("a"):
                pass
            assert running.retrieve(ROSES).passages
            assert not dropping.done()
        dropping.result(10)
    assert list((tmp_path / "_").iterdir()) == []


def test_names_are_checked_at_the_start(
    open_store: Callable[[Path], Pipeline], tmp_path: Path
) -> None:
    for key in ("", "A", "a/b/c", "a/", "/a", "a b"):
        with pytest.raises(InvalidArgument):
            Collections(open_store, {key: tmp_path})


def test_collections_are_listed_while_others_are_created_and_dropped(
    tmp_path: Path, open_store: Callable[[Path], Pipeline]
) -> None:
    def create(path: Path) -> None:
        path.mkdir()
        for number in range(40):  # a store that takes a while to delete
            (path / f"{number}").write_text("")
        (path / "store.db").write_text("")

    collections = Collections(
        open_store, {"a": Path("a")}, folder=tmp_path / "created", create_store=create
    )
    done = threading.Event()

    def change() -> None:
        for _ in range(60):
            collections.create("b")
            collections.drop("b")
        done.set()

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        while not done.is_set() and not changing.done():
            assert {state.key for state in collections.states()} <= {"a", "b"}
        changing.result()
    collections.close()
