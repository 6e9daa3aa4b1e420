"""A small power-loss campaign, and what its recorder must not miss."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from power_loss import KILLED_KINDS, KINDS, Tally, go_on
from recording import DiskCall, record
from scenarios import Scenario, killed, recorded

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None, reason="the recorder needs a C compiler"
)


@pytest.mark.parametrize("reader", [False, True])
def test_no_acknowledged_change_is_lost(tmp_path: Path, reader: bool) -> None:
    scenario = Scenario(int(reader), KINDS[:6], settings=int(reader), reader=reader)
    recording = recorded(scenario, tmp_path)
    calls = {operation.call for operation in recording.operations}
    assert calls == set(DiskCall), "every kind of call was recorded"
    tally = Tally()
    tally.replay("undisturbed", recording, 12, tmp_path)
    go_on(tally, recording, 3, tmp_path, states=12)
    assert tally.recordings == {"undisturbed": 1, "after a loss": 1}
    assert tally.findings == []


def test_a_backup_and_a_restored_store_survive_a_power_loss(tmp_path: Path) -> None:
    """The name of a restored store's generation was never flushed: it could be lost."""
    recording = recorded(Scenario(0, ("build", "copy")), tmp_path)
    tally = Tally()
    tally.replay("undisturbed", recording, 12, tmp_path)
    assert tally.findings == []


@pytest.mark.parametrize("operation", [2, 4, 18])
def test_a_killed_writer_that_is_run_again(tmp_path: Path, operation: int) -> None:
    """Before 2 and 4, the names of the new folders were never flushed: the store could be lost."""
    recording = killed(Scenario(0, KILLED_KINDS[:1], killed_in=0, kill=operation), tmp_path)
    assert recording is not None
    tally = Tally()
    tally.replay("killed", recording, 8, tmp_path)
    assert tally.findings == []


@pytest.mark.parametrize("operation", [27, 28])
def test_a_killed_restore_that_is_run_again(tmp_path: Path, operation: int) -> None:
    """It was killed after the exchange; the next one deleted the old store before a flush."""
    scenario = Scenario(5, KILLED_KINDS[:6], killed_in=5, kill=operation)
    recording = killed(scenario, tmp_path)
    assert recording is not None
    tally = Tally()
    tally.replay("killed", recording, 8, tmp_path)
    assert tally.findings == []


def test_a_change_without_so_many_file_operations_is_not_killed(tmp_path: Path) -> None:
    assert killed(Scenario(0, KILLED_KINDS[:1], killed_in=0, kill=1000), tmp_path) is None


def run(tmp_path: Path, code: str) -> list[str]:
    """Record a script that is given a folder; return what it did."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import os, pathlib, shutil, sys\nfolder = pathlib.Path(sys.argv[1])\n{code}"
    )
    folder = tmp_path / "disk"
    folder.mkdir(exist_ok=True)
    return [str(operation) for operation in record([str(script), str(folder)], folder, tmp_path)]


def test_every_call_is_recorded_in_its_order(tmp_path: Path) -> None:
    code = """
(folder / "one").mkdir()
with (folder / "one" / "file").open("wb") as file:
    file.write(b"12345")
    file.flush()
    os.fsync(file.fileno())
    file.truncate(3)
(folder / "one" / "file").rename(folder / "one" / "other")
(folder / "one" / "other").write_text("new")
shutil.rmtree(folder / "one")
(folder.parent / "elsewhere").write_text("not of this folder")
"""
    assert run(tmp_path, code) == [
        "make_folder one",
        "create one/file",
        "write one/file 5 bytes at 0",
        "sync one/file",
        "truncate one/file",
        "rename one/file -> one/other",
        "truncate one/other",
        "write one/other 3 bytes at 0",
        "remove one/other",
        "remove one",
    ]


@pytest.mark.parametrize(
    "code",
    [
        "(folder / 'a').write_text('x'); shutil.copyfile(folder / 'a', folder / 'b')",
        "import mmap; f = open(folder / 'a', 'w+b'); f.truncate(9); mmap.mmap(f.fileno(), 9)",
        "(folder.parent / 'c').write_text('x'); os.rename(folder.parent / 'c', folder / 'd')",
    ],
)
def test_what_cannot_be_recorded_ends_the_process(tmp_path: Path, code: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run(tmp_path, code)
