"""One run at a time works in a folder, and a failed one leaves its files for the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag_lab.work_folder import work_folder
from expertrag_retriever.errors import OutputTakenError


def test_one_run_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        work_folder(out),
        pytest.raises(OutputTakenError, match=r"another run for .* is under way"),
        work_folder(out),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_failed_run_leaves_a_work_folder_only_if_there_are_files_in_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyError), work_folder(out) as work:
        (work / "known" / "more").mkdir(parents=True)
        raise KeyError
    assert not work.exists()
    with pytest.raises(KeyError), work_folder(out) as work:
        (work / "known").write_text("1")
        raise KeyError
    with work_folder(out, keep=True) as work:
        assert (work / "known").read_text() == "1"
    with work_folder(out):
        pass
    assert not work.exists()
