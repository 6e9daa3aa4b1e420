"""Reports on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import report_samples as samples

from expertrag.errors import InvalidArgument, NotFound
from expertrag.eval.report import parts_of, read_report, write


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "folder"
    paths = write([samples.gate()], out)
    assert [path.name for path in paths] == ["report.json", "report.md", "report.html"]
    assert read_report(out) == read_report(paths[0]) == samples.gate()
    assert paths[1].read_text(encoding="utf-8").startswith("# ExpertRAG evaluation\n")
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in paths)


def test_several_reports_are_one_page_and_come_apart_again(tmp_path: Path) -> None:
    write([samples.gate(), samples.cost()], tmp_path)
    combined = read_report(tmp_path)
    assert combined["kind"] == "combined"
    assert parts_of(combined) == [samples.gate(), samples.cost()]
    assert parts_of(samples.gate()) == [samples.gate()]


def test_figures_that_are_none_are_not_written(tmp_path: Path) -> None:
    write([samples.gate()], tmp_path)
    before = (tmp_path / "report.json").read_bytes()
    broken = samples.gate()
    broken["pooled"]["gate"]["ece"] = float("nan")
    with pytest.raises(ValueError, match="JSON compliant"):
        write([broken], tmp_path)
    assert (tmp_path / "report.json").read_bytes() == before


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no report at"):
        read_report(tmp_path)
    for content in ("[1]", "{", '{"kind": "poem"}', "{}", '"gate"'):
        (tmp_path / "report.json").write_text(content)
        with pytest.raises(InvalidArgument, match="is no report of expertrag eval"):
            read_report(tmp_path)


def test_a_report_of_another_version_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    odd = {"kind": "answer", "manifest": 3, "pooled": {"never": {"accuracy": "high"}}, "sets": []}
    (tmp_path / "report.json").write_text(json.dumps(odd))
    paths = write([read_report(tmp_path)], tmp_path / "out")
    assert "| never" in paths[1].read_text(encoding="utf-8")
