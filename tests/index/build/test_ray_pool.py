"""Builds on Ray: the store of a local build, whatever happens to the workers."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import store_helper
from numpy.typing import NDArray
from store_helper import CORPUS, ExpertEmbedder, HashingEmbedder, build, contents, make_mixed_corpus

from expertrag_index.build.ray_cluster import RayCluster
from expertrag_index.build.ray_pool import RayPool
from expertrag_index.build.settings import WriterSettings
from expertrag_index.errors import WorkerError
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.opening import read_manifest
from expertrag_index.upkeep.verify import verify

pytestmark = pytest.mark.ray

LISTENS = "0A"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
SMALL = WriterSettings(embed_batch=8, commit_chunks=8)


class NotedEmbedder(HashingEmbedder):
    """Notes in a folder which processes embed; a text may be fatal, or raise an error."""

    def __init__(self, folder: Path, fingerprint: str = "hashing-1") -> None:
        super().__init__(fingerprint=fingerprint)
        self._folder = folder

    def encode_documents(
        self, texts: Sequence[str], domain: str | None = None
    ) -> NDArray[np.float32]:
        (self._folder / str(os.getpid())).touch()
        if any("fatal" in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        if any("unreadable" in text for text in texts):
            raise RuntimeError(f"no kernel image for {texts}")  # as libraries quote their input
        return super().encode_documents(texts)


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    folder = tmp_path / "processes"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """One cluster for all tests: it takes seconds to start."""
    opened = RayCluster(None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(store_helper.__file__).parent))
        opened.open(gpus=False)
    yield opened
    opened.close()


def test_the_store_is_that_of_a_local_build(
    cluster: RayCluster, tmp_path: Path, noted: Path
) -> None:
    with RayPool(partial(NotedEmbedder, noted), workers=2) as pool:
        report = build(tmp_path / "ray", HashingEmbedder(), CORPUS, settings=SMALL, pool=pool)
    build(tmp_path / "local", HashingEmbedder(), CORPUS, settings=SMALL)
    assert len(list(noted.iterdir())) == 2
    assert str(os.getpid()) not in [file.name for file in noted.iterdir()]
    assert report.chunks_embedded == report.chunks > 100
    assert verify(tmp_path / "ray").problems == ()
    assert rows(tmp_path / "ray") == rows(tmp_path / "local")
    ours, theirs = (read_manifest(Layout(tmp_path / name), 1) for name in ("ray", "local"))
    assert replace(ours, created_at="") == replace(theirs, created_at="")  # files and their hashes
    with Index.open(tmp_path / "ray") as one, Index.open(tmp_path / "local") as other:
        query = HashingEmbedder().encode_query("checkpoints number7")
        assert one.search_dense(query, 10) == other.search_dense(query, 10)
        assert one.search_lexical("number7", 10) == other.search_lexical("number7", 10)


def test_experts_embed_their_documents(cluster: RayCluster, tmp_path: Path) -> None:
    corpus = make_mixed_corpus(60)
    with RayPool(ExpertEmbedder, workers=1) as pool:
        build(tmp_path / "ray", ExpertEmbedder(), corpus, settings=SMALL, pool=pool)
    build(tmp_path / "local", ExpertEmbedder(), corpus, settings=SMALL)
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def test_a_killed_worker_is_replaced(
    cluster: RayCluster, tmp_path: Path, noted: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    killed: list[int] = []

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "embed" and done and not killed:
            killed.append(int(next(noted.iterdir()).name))
            os.kill(killed[0], signal.SIGKILL)

    with RayPool(partial(NotedEmbedder, noted), workers=2) as pool:
        build(
            tmp_path / "ray",
            HashingEmbedder(),
            CORPUS,
            settings=SMALL,
            pool=pool,
            progress=progress,
        )
    build(tmp_path / "local", HashingEmbedder(), CORPUS, settings=SMALL)
    assert killed
    assert capfd.readouterr() == ("", "")
    assert rows(tmp_path / "ray") == rows(tmp_path / "local")
    assert verify(tmp_path / "ray").problems == ()


@pytest.mark.parametrize(
    ("word", "message"),
    [("fatal", "lost again and again.*same command goes on"), ("unreadable", "no kernel image")],
)
def test_a_worker_that_cannot_go_on_ends_the_build(
    cluster: RayCluster, tmp_path: Path, noted: Path, word: str, message: str
) -> None:
    last = replace(CORPUS[59], text=f"{word} {CORPUS[59].text}")
    corpus = [*CORPUS[:59], last]
    with (
        RayPool(partial(NotedEmbedder, noted), workers=1, restarts=1) as pool,
        pytest.raises(WorkerError, match=message),
    ):
        build(tmp_path / "store", HashingEmbedder(), corpus, settings=SMALL, pool=pool)
    assert len(list(noted.iterdir())) == (2 if word == "fatal" else 1)
    again = HashingEmbedder()
    report = build(tmp_path / "store", again, corpus, settings=SMALL)
    assert 0 < len(again.encoded) < report.chunks / 2
    assert verify(tmp_path / "store").problems == ()


def test_another_model_on_a_worker_is_named(
    cluster: RayCluster, tmp_path: Path, noted: Path
) -> None:
    with (
        RayPool(partial(NotedEmbedder, noted, "hashing-2"), workers=1) as pool,
        pytest.raises(WorkerError, match="hashing-2, not hashing-1: install the same model"),
    ):
        build(tmp_path / "store", HashingEmbedder(), CORPUS, pool=pool)


def test_more_workers_than_processors_are_refused(cluster: RayCluster, tmp_path: Path) -> None:
    with (
        RayPool(HashingEmbedder, workers=1_000) as pool,
        pytest.raises(WorkerError, match=r"1000 workers of one CPU each .* use --workers \d+"),
    ):
        build(tmp_path / "store", HashingEmbedder(), CORPUS, pool=pool)


def test_nothing_new_starts_no_worker(tmp_path: Path) -> None:
    build(tmp_path / "store", HashingEmbedder(), CORPUS)
    with RayPool(HashingEmbedder, address="127.0.0.1:1") as pool:
        assert build(tmp_path / "store", HashingEmbedder(), CORPUS, pool=pool).unchanged == 60


def rows(store: Path) -> list[tuple[object, ...]]:
    """Return the rows of chunks and documents, in their order, with the vectors."""
    with closing(sqlite3.connect(store / "store.db")) as connection:
        return connection.execute(
            """SELECT c.*, d.*, v.* FROM chunks c JOIN documents d ON d.row = c.document
            JOIN vectors v ON v.content_hash = c.content_hash ORDER BY c.key"""
        ).fetchall()


def test_the_cluster_listens_on_loopback(cluster: RayCluster) -> None:
    pids = [os.getpid(), *descendants(os.getpid())]
    found = [address for pid in pids for address in open_to(pid)]
    assert len(found) > 3
    assert set(found) <= LOOPBACK


def test_no_text_is_in_the_logs(cluster: RayCluster) -> None:
    logs = [path for path in Path(cluster.folder).rglob("*") if path.is_file()]
    assert len(logs) > 10
    assert [path for path in logs if b"About checkpoints" in path.read_bytes()] == []
    assert stat.S_IMODE(Path(cluster.folder).stat().st_mode) == 0o700


def descendants(pid: int) -> Iterator[int]:
    with suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


def open_to(pid: int) -> Iterator[str]:
    """Yield the addresses, in hexadecimal, at which a process accepts connections."""
    with suppress(FileNotFoundError):  # it has ended meanwhile
        sockets = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENS and f"socket:[{fields[9]}]" in sockets:
                    yield fields[1].partition(":")[0]
