"""``expertrag eval gate`` on rows of AdaRAGUE and on invalid rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import Run

from expertrag_lab.data.rows import dump_row
from expertrag_lab.data.types import Branch, GateRecord, Recorded, Row

ADARAGUE = Path(__file__).parents[3] / "tests" / "data" / "adarague_small"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Rows as `eval record` writes them: the gate retrieves for the first of two."""
    path = tmp_path / "recorded.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for identifier, p in (("1", 0.8), ("2", 0.2)):
            recorded = Recorded(
                Branch(lm_calls=1),
                Branch(lm_calls=1),
                GateRecord("training-free-3", p, 0.5, lm_calls=1),
            )
            row = Row(identifier, "?", ("Paris",), "Rome", "Paris", recorded=recorded)
            file.write(dump_row(row) + "\n")
    return path


def test_a_folder_of_rows_gives_the_same_report_twice(run: Run, tmp_path: Path) -> None:
    command = ("eval", "gate", ADARAGUE, "--seed", 3)
    report = run(*command, "--json").json()
    assert list(report["sets"]) == ["hotpotqa", "nq", "triviaqa"]
    assert "gate" not in report["pooled"]
    assert report["pooled"]["oracle"]["accuracy"] == 50 / 90
    assert report["manifest"]["inputs"]["gate"] is None
    run(*command, "--out", tmp_path).ok()
    again = json.loads((tmp_path / "report.json").read_text())
    assert again["manifest"].pop("created_at") and report["manifest"].pop("created_at")
    assert again == report
    page = (tmp_path / "report.html").read_text()
    assert "<h1>Retrieval gate</h1>" in page and "Accuracy against" in page


def test_the_recorded_gate(run: Run, recorded: Path) -> None:
    report = run("eval", "gate", recorded, "--gate", "training-free-3", "--json").json()
    gate = report["pooled"]["gate"]
    assert (gate["accuracy"], gate["rate"], gate["lm_calls"]) == (0.5, 0.5, 1.5)
    assert (gate["missed"], gate["harm"]) == (0.5, 0.0)
    assert report["manifest"]["inputs"]["gate"] == {
        "name": "training-free-3", "fingerprint": "training-free-3", "threshold": 0.5,
    }  # fmt: skip
    ran = run("eval", "gate", recorded, "--gate", "training-free-3", "--threshold", 0.1, "--json")
    assert ran.json()["pooled"]["gate"]["accuracy"] == 1.0


def test_a_gate_from_a_file_as_text(run: Run, recorded: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_text('{"_id": "1", "p_benefit": 0.9}\n{"_id": "2", "p_benefit": 0.6}\n')
    ran = run("eval", "gate", recorded, "--gate", mine).ok()
    assert "mine.jsonl" in ran.out
    assert "1.000" in ran.out


def test_files_with_the_same_name_are_rejected(run: Run, tmp_path: Path) -> None:
    shutil.copy(ADARAGUE / "nq.jsonl", tmp_path)
    run("eval", "gate", ADARAGUE, tmp_path).fails(2, "would both be the set nq; rename one")
    shutil.copy(ADARAGUE / "nq.jsonl", tmp_path / "pooled.jsonl")
    run("eval", "gate", tmp_path / "pooled.jsonl").fails(2, "pooled is reserved for all sets")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no_such_file.jsonl"], 4, "no file no_such_file.jsonl"),
        ([ADARAGUE.parent / "squad_small" / "qrels"], 4, "contains no .jsonl or .jsonl.gz file"),
        ([ADARAGUE, "--gate", "training-free-3"], 2, "rows of hotpotqa have no gate signals; make"),
        ([ADARAGUE, "--gate", "training-free-99"], 4, "no gate or file training-free-99"),
        ([ADARAGUE, "--gate", ADARAGUE], 2, ": name a folder made by `expertrag train gate`"),
        ([ADARAGUE, "--threshold", "2"], 2, "threshold"),
        ([], 2, "ROWS"),
    ],
)
def test_invalid_arguments_are_reported(
    run: Run, arguments: list[str | Path], code: int, message: str
) -> None:
    run("eval", "gate", *arguments).fails(code, message)


def test_bad_rows_are_counted_and_unusable_files_rejected(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    good = '{"_id": "1", "question": "?", "answers": ["x"], "never": "x", "one_step": "y"}\n'
    path.write_text(good + '{"_id": "2", "question": "?", "answers": ["x"], "never": "x"}\n')
    report = run("eval", "gate", path, "--json").json()
    assert report["skipped"] == {
        "mine": [{"id": "2", "reason": "one_step is missing or not a string", "retry": False}]
    }
    assert report["pooled"]["never"]["n"] == 1
    path.write_text(good + "not JSON\n")
    run("eval", "gate", path).fails(2, "line 2 is not JSON")
    path.write_text("{}\n")
    run("eval", "gate", path).fails(2, "contains no usable row; the first: line 1")
