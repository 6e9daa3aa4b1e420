"""``expertrag index build --engine ray`` with the real embedder, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Run
from store_helper import contents

from expertrag_index.build.ray_cluster import RayCluster

pytestmark = pytest.mark.ray

MINILM = ("--embedder", "all-minilm-l6-v2")
COUNT = 400


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    with (folder / "notes.jsonl").open("w") as file:
        for number in range(COUNT):
            text = f"Note {number} on keeping bees. " + "The hive is opened in spring. " * 20
            file.write(json.dumps({"_id": str(number), "text": text}) + "\n")
    return folder


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a cluster that exists."""
    opened = RayCluster(None)
    yield str(opened.open(gpus=False).get_runtime_context().gcs_address)
    opened.close()


def build(records: Path, store: Path, *options: str) -> list[str]:
    python = [sys.executable, "-m", "expertrag"]
    return [*python, "index", "build", str(records), "--out", str(store), *MINILM, *options]


def folders() -> set[Path]:
    return set(Path("/tmp").glob("expertrag-ray-*"))


def test_the_store_is_that_of_a_local_build(spawn: Run, records: Path, tmp_path: Path) -> None:
    before = folders()
    for name, options in (("ray", ("--engine", "ray", "--workers", "2")), ("local", ())):
        ran = spawn(*build(records, tmp_path / name, *options, "--json")[3:])
        assert ran.json()["chunks_embedded"] == COUNT
        assert ("start workers: 2/2" in ran.err) == (name == "ray")
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert folders() == before


def test_a_cluster_that_exists_is_used(
    spawn: Run, records: Path, tmp_path: Path, cluster: str
) -> None:
    before = folders()
    command = build(records, tmp_path / "store", "--engine", "ray", "--workers", "1", "--json")
    ran = spawn(*command[3:], env={"RAY_ADDRESS": cluster})
    assert ran.json()["chunks_embedded"] == COUNT
    assert folders() == before


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", "error: no Ray cluster answers at 127.0.0.1:9"),
        ("head", "error: 'head' is not the address of a Ray cluster: write HOST:PORT"),
    ],
)
def test_no_cluster_at_an_address(
    spawn: Run, records: Path, tmp_path: Path, address: str, message: str
) -> None:
    command = build(records, tmp_path / "store", "--engine", "ray", "--ray-address", address)
    ran = spawn(*command[3:])
    assert ran.code == 7
    assert ran.err.splitlines()[-1].startswith(message)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_workers(
    records: Path, tmp_path: Path, spawn: Run, number: signal.Signals
) -> None:
    before, store = folders(), tmp_path / "store"
    command = build(records, store, "--engine", "ray")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            if line.startswith("start workers: 2/2"):
                break
        time.sleep(2)
        (folder,) = folders() - before
        assert running(folder)
        if number == signal.SIGINT:  # as a terminal sends it
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(60) == 130, rest
    assert "the same command goes on from there" in rest
    assert running(folder) == []
    assert folders() == before
    assert spawn(*build(records, store, "--json")[3:]).json()["chunks_embedded"] < COUNT


def running(folder: Path) -> list[str]:
    """Return the processes of a cluster, whose arguments or environment name its folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            about = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in about and int(process.name) != os.getpid():
            found.append(process.name)
    return found
