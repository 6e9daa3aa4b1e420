"""``expertrag eval consistency`` with the real models."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import Run

SQUAD = Path(__file__).parents[1] / "data" / "squad_small"


def test_three_reworded_questions(
    run: Run, tmp_path: Path, minilm_path: Path, reader_path: Path
) -> None:
    few = ("--limit", 3, "--variants", 2, "-k", 1, "--work", tmp_path / "work")
    report = run("eval", "consistency", SQUAD, *few, "--max-tokens", 6, "--json").json()
    assert report["sizes"] == {"squad_small": {"questions": 3, "wordings": 6}}
    assert report["pooled"]["decision_consistency"]["n"] == 3
    assert report["pooled"] == report["sets"]["squad_small"]
    assert report["rewrites"]["pooled"]["lower_case"]["n"] == 3
    assert report["manifest"]["inputs"]["sets"]["squad_small"]["gate"] == "training-free-3"

    ran = run("eval", "consistency", SQUAD, *few, "--no-answers", "--out", tmp_path / "report").ok()
    assert "decision" in ran.out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["pooled"]["answer_consistency"] is None


def test_invalid_arguments_are_reported(run: Run, tmp_path: Path) -> None:
    run("eval", "consistency", tmp_path / "nothing").fails(4, "no data set at")
    run("eval", "consistency", SQUAD, "--variants", 1).fails(2, "--variants")
