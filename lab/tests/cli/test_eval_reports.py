"""``expertrag eval report | compare | ls | validate``, through the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import report_samples as samples
from command_line import Run

DATA = Path(__file__).parents[3] / "tests" / "data"
Save = Callable[[str, samples.Report], Path]


@pytest.fixture
def saved(tmp_path: Path) -> Save:
    """Save a report as ``eval … --json > file`` does."""

    def save(name: str, report: samples.Report) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(report, indent=2), encoding="utf-8")
        return path

    return save


def test_report_puts_several_on_one_page(run: Run, saved: Save, tmp_path: Path) -> None:
    paths = [saved(f"{report['kind']}.json", report) for report in samples.every_kind()]
    out = tmp_path / "page"
    ran = run("eval", "report", *paths, "--out", out).ok()
    assert ran.out == ""
    assert f"wrote {out / 'report.html'}" in ran.err
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<h2>") == 5
    # the page of pages counts as each: a folder, and no --out
    ran = run("eval", "report", out).ok()
    assert "Retrieval gate\n" in ran.out
    assert "Cost model\n" in ran.out
    ran = run("eval", "report", out, "--json")
    assert ran.json() == json.loads((out / "report.json").read_text(encoding="utf-8"))
    ran = run("eval", "report", paths[0], "--json", "--out", tmp_path / "one")
    assert ran.json() == json.loads(paths[0].read_text(encoding="utf-8"))
    assert (tmp_path / "one" / "report.html").is_file()


def test_compare_reports_differences(run: Run, saved: Save, tmp_path: Path) -> None:
    new = samples.gate()
    new["per_query"]["nq"]["never"]["1"] = 1
    paths = saved("old.json", samples.gate()), saved("new.json", new)
    report = run("eval", "compare", *paths, "--json", "--out", tmp_path / "out").json()
    assert report["comparisons"]["nq"][0]["difference"] == 0.5
    assert report == json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert "Differences on nq" in run("eval", "compare", *paths).out


def test_damaged_reports_are_rejected_in_one_line(run: Run, saved: Save) -> None:
    good = saved("gate.json", samples.gate())
    broken = samples.gate()
    broken["per_query"]["nq"]["never"]["1"] = float("nan")
    bad = saved("bad.json", broken)
    for command in (("report", bad), ("report", good, bad), ("compare", good, bad)):
        ran = run("eval", *command)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == (
            f"error: {bad} is a damaged report: per_query.nq.never.1 is nan, which is not a finite "
            "number; "
            f"make it again, or see 'expertrag eval validate {bad}'\n"
        )
    listed = run("eval", "ls", bad).ok()
    assert listed.out.startswith(f"unreadable: {bad} is a damaged report")


def test_ls_lists_data_sets_rows_and_reports(
    run: Run, saved: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")  # so that no path, however long, cuts a cell
    saved("gate.json", samples.gate())
    ran = run("eval", "ls", DATA, tmp_path).ok()
    lines = [line.split() for line in ran.out.splitlines()]
    squad = next(line for line in lines if line and line[0].endswith("squad_small"))
    assert squad[1:] == ["test", "40", "59", "60", "40", "20"]
    assert "gate 0.420 at rate 0.600" in ran.out
    found = run("eval", "ls", DATA, tmp_path, "--json").json()
    assert [item["rows"] for item in found["rows"]] == [30, 30, 30]
    assert found["reports"][0]["kind"] == "gate"


def test_ls_defaults_to_the_current_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("eval", "ls").out == "no data sets, rows or reports found\n"
    (tmp_path / "broken.jsonl").write_text("{")
    ran = run("eval", "ls").ok()
    assert ran.out.startswith("unreadable: broken.jsonl line 1 is not JSON")


def test_validate_exits_with_2_and_names_every_fault(run: Run, tmp_path: Path) -> None:
    ran = run("eval", "validate", DATA).ok()
    assert "squad_small (data set: 59 documents, 60 queries, 40 judgements): no fault" in ran.out

    broken = Path(shutil.copytree(DATA / "beir_small", tmp_path / "broken"))
    with (broken / "qrels" / "test.tsv").open("a", encoding="utf-8") as file:
        file.write("no-query\tno-document\t1\nq\td\tx\n")
    ran = run("eval", "validate", broken)
    assert ran.code == 2
    faults = [line for line in ran.out.splitlines() if "test.tsv:" in line]
    assert len(faults) == 3
    assert ran.out.splitlines()[-1].endswith("41 judgements): faults: 3")
    found = run("eval", "validate", broken, "--json").json(2)
    assert [problem["line"] for problem in found[0]["problems"] if problem["fault"]] == [42, 42, 43]
