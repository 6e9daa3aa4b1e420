"""``eval ls``: what is found in folders, and how it is described."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import report_samples as samples

from expertrag_lab.eval.library import DatasetEntry, list_library
from expertrag_lab.eval.report import write

DATA = Path(__file__).parents[3] / "tests" / "data"


def test_data_sets_of_the_repository() -> None:
    found = list_library([DATA])
    entries = {entry.path.name: entry for entry in found.datasets}
    assert entries["squad_small"] == DatasetEntry(
        DATA / "squad_small",
        documents=59,
        queries=60,
        splits={"test": 40},
        answered=40,
        unanswerable=20,
    )
    assert (entries["beir_small"].documents, entries["beir_small"].answered) == (150, 0)
    assert {entry.path.parent.name: entry.recorded for entry in found.rows} == {
        "adarague_small": False
    }
    assert {entry.rows for entry in found.rows} == {30}
    assert not found.reports
    assert not found.unreadable


def test_reports_have_a_headline(tmp_path: Path) -> None:
    for report in samples.every_kind():
        write([report], tmp_path / report["kind"])
    write(samples.every_kind(), tmp_path / "whole")
    found = {entry.path.parent.name: entry for entry in list_library([tmp_path]).reports}
    assert {name: entry.headline for name, entry in found.items() if name != "whole"} == {
        "retrieval": "nDCG@10 0.550 (hybrid)",
        "gate": "gate 0.420 at rate 0.600",
        "answer": "auto 0.410 at rate 0.550",
        "cost": "formula error +10.2%",
        "consistency": "same decision 0.800",
    }
    assert found["gate"].sets == ("nq", "2wikimultihopqa")
    assert (found["gate"].commit, found["gate"].created_at[:10]) == ("abc1234", "2025-02-03")
    assert found["whole"].kind == "combined"
    assert found["whole"].headline.count(";") == 4


def test_search_depth_and_unique_paths(tmp_path: Path) -> None:
    for depth in (3, 4):
        folder = tmp_path.joinpath(*"abcd"[:depth])
        folder.mkdir(parents=True)
        (folder / "queries.jsonl").write_text('{"_id": "1", "text": "?"}')
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "queries.jsonl").write_text("{}")
    found = list_library([tmp_path, tmp_path / "a"])
    assert [entry.path for entry in found.datasets] == [
        tmp_path / "a/b/c",
        tmp_path / "a/b/c/d",  # three levels below a
    ]
    assert (found.datasets[0].documents, found.datasets[0].splits) == (None, {})


def test_recorded_rows_are_recognized(tmp_path: Path) -> None:
    row = {"_id": "1", "question": "?", "answers": ["a"], "never": "a", "one_step": "b"}
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(row | {'recorded': {}})}\n\n")
    (entry,) = list_library([tmp_path]).rows
    assert (entry.rows, entry.recorded) == (1, True)
    assert entry.fields == (*row, "recorded")


def test_unreadable_files_are_listed_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "torn.jsonl.gz").write_bytes(gzip.compress(bytes(range(256)))[:15])
    (tmp_path / "broken.jsonl").write_text("{oh no")
    (tmp_path / "report.json").write_text('{"kind": "gate", "manifest"')
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "queries.jsonl").write_text("[1]")
    found = list_library([tmp_path, tmp_path / "missing.json"])
    reasons = {item.path.name: item.reason for item in found.unreadable}
    assert set(reasons) == {"torn.jsonl.gz", "broken.jsonl", "report.json", "set", "missing.json"}
    assert "damaged gzip" in reasons["torn.jsonl.gz"]
    assert "line 1 is not JSON" in reasons["broken.jsonl"]
    assert "is not a report" in reasons["report.json"]
    assert "does not exist" in reasons["missing.json"]
    assert "line 1 is not a JSON object" in reasons["set"]


@pytest.mark.parametrize("text", ["", "[]", '{"kind": "poem"}', '{"a": 1}'])
def test_other_files_are_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    (tmp_path / "pairs.jsonl").write_text('{"text": "a", "label": 1}')
    found = list_library([tmp_path])
    assert not any((found.datasets, found.rows, found.reports, found.unreadable))
