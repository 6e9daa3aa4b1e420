"""``expertrag index push``, ``pull`` and ``follow``."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Run


@pytest.fixture
def pushed(run: Run, built: Path, tmp_path: Path) -> Path:
    """A folder that a store has been pushed to."""
    url = tmp_path / "shared"
    assert "uploaded" in run("index", "push", built, url).ok().out
    return url


def test_push_and_pull(run: Run, built: Path, pushed: Path, tmp_path: Path) -> None:
    assert "is there already" in run("index", "push", built, pushed).out
    copy = tmp_path / "copy"
    done = run("index", "pull", pushed, copy, "--json").json()
    assert done["changed"] and done["objects"] > 3
    assert "is the newest" in run("index", "pull", pushed, copy).out
    assert run("index", "search", copy, "roses", "-k", 1, "--json").json()["passages"]
    again = run("index", "pull", pushed, copy, "--again", "--json").json()
    assert (again["changed"], again["objects"]) == (True, 0)


def test_errors_say_what_to_do(run: Run, built: Path, pushed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    run("index", "pull", tmp_path / "none", copy).fails(4, "expertrag index push STORE")
    run("index", "pull", pushed, built).fails(2, "pull to another folder")
    run("index", "pull", "https://ann:secret@example.com/x", copy).fails(7, "s3://bucket/folder")
    run("index", "push", tmp_path / "none", pushed).fails(4, "index build")
    run("index", "pull", pushed, copy).ok()
    run("index", "compact", copy).fails(6, "write to the store that is pushed there")
    (next((pushed / "blocks").iterdir())).unlink()
    run("index", "pull", pushed, tmp_path / "other").fails(5, "is missing", "--again")
    other = Path(shutil.copytree(built, tmp_path / "restored"))
    run("index", "compact", built).ok()
    run("index", "push", built, pushed, "--again").ok()
    run("index", "push", other, pushed).fails(6, "is older", "to another URL")


def test_follow_until_a_signal(pushed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "expertrag", "index", "follow", pushed, tmp_path / "copy"]
    with subprocess.Popen(
        [*map(str, command), "--json", "--every", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        shown = process.stderr.read()
    assert told["changed"]
    assert f"generation {told['generation']}" in shown
    assert "is given up" in shown
    assert (tmp_path / "copy" / "REPLICA").exists()


def test_a_server_cannot_follow_and_push(run: Run, tmp_path: Path) -> None:
    run("serve", "--index", tmp_path / "x", "--follow", "a", "--push", "b").fails(
        2, "replica.push", "keep one"
    )
    run("serve", "--follow", tmp_path / "a").fails(2, "index")
