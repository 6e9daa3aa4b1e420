"""One run at a time writes a folder; what a killed or failed run leaves behind does no harm."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from expertrag_retriever.errors import OutputTakenError
from expertrag_retriever.publish import publish, scratch_folder


def test_one_run_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        scratch_folder(out),
        pytest.raises(OutputTakenError, match=r"another run for .* is under way"),
        scratch_folder(out),
    ):
        pass
    assert not list(tmp_path.iterdir())


def _write_and_die(out: Path) -> None:
    with scratch_folder(out) as scratch:
        (scratch / "folder").mkdir()
        (scratch / "folder" / "weights").write_text("half")
        (scratch / "card").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_run_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed = multiprocessing.get_context("fork").Process(target=_write_and_die, args=(out,))
    killed.start()
    killed.join()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.") and list(left.iterdir())
    with publish(out) as scratch:
        assert not list(scratch.iterdir())
        (scratch / "card").write_text("whole")
    assert list(tmp_path.iterdir()) == [out] and (out / "card").read_text() == "whole"
