"""``expertrag eval consistency`` with the real models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]

SQUAD = Path(__file__).parents[1] / "data" / "squad_small"


def test_three_reworded_questions(
    run: Run, tmp_path: Path, minilm_path: Path, reader_path: Path
) -> None:
    few = ("--limit", 3, "--variants", 2, "-k", 1, "--work", tmp_path / "work")
    ran = run("eval", "consistency", SQUAD, *few, "--max-tokens", 6, "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert report["sizes"] == {"squad_small": {"questions": 3, "wordings": 6}}
    assert report["pooled"]["decision_consistency"]["n"] == 3
    assert report["pooled"] == report["sets"]["squad_small"]
    assert report["rewrites"]["pooled"]["lower_case"]["n"] == 3
    assert report["manifest"]["inputs"]["sets"]["squad_small"]["gate"] == "training-free-3"

    ran = run("eval", "consistency", SQUAD, *few, "--no-answers", "--out", tmp_path / "report")
    assert ran.code == 0, ran.err
    assert "decision" in ran.out
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["pooled"]["answer_consistency"] is None


def test_invalid_arguments_are_reported(run: Run, tmp_path: Path) -> None:
    ran = run("eval", "consistency", tmp_path / "nothing")
    assert (ran.code, "no data set at" in ran.err) == (4, True)
    ran = run("eval", "consistency", SQUAD, "--variants", 1)
    assert (ran.code, "--variants" in ran.err) == (2, True)
