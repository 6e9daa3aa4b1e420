"""The cost formula against measured time: computed by hand, and timed on a real store."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eval.conftest import WithModel
from serving_fixtures import PacedGenerator

from expertrag_lab.eval.cost import Timed, cost_report, time_questions
from expertrag_lab.eval.manifest import make_manifest
from expertrag_lab.eval.questions import Asked
from expertrag_lab.eval.record import Recording


def timed(name: str, retrieved: bool, auto: float) -> Timed:
    stages = {"gate": 0.4, "prefill": 0.3, "retrieve": 0.1}
    answers = {"generate_long": 3.0, "generate_short": 1.0, "never": 1.0, "always": 3.1}
    return Timed(name, retrieved, auto=auto, **stages, **answers)


def report_of(sets: dict[str, Any]) -> Any:
    made = cost_report(sets, make_manifest("cost", {}), {})
    return json.loads(json.dumps(made, allow_nan=False))


def test_the_formula_by_hand() -> None:
    rows = (timed("a", True, 3.5), *(timed(name, False, 1.1) for name in "bcd"))
    figures = report_of({"set": rows, "none": ()})["pooled"]
    assert (figures["n"], figures["rate"]) == (4, 0.25)
    predicted = 0.4 + 0.25 * (0.1 + 3.0) + 0.75 * 1.0
    measured = (3.5 + 3 * 1.1) / 4
    assert figures["predicted"] == pytest.approx(
        {"formula": predicted, "with_reuse": predicted - 0.75 * 0.3}
    )
    assert figures["measured"] == pytest.approx({"auto": measured, "never": 1.0, "always": 3.1})
    assert figures["error"]["formula"] == pytest.approx(predicted / measured - 1)
    # exact by construction: a retrieval costs 3.5, a closed-book answer .1 plus the prefill
    assert figures["error"]["with_reuse"] == pytest.approx(0.0)
    low, high = figures["error_interval"]
    assert low < figures["error"]["formula"] < high


def test_a_set_without_a_timing_has_no_figures() -> None:
    assert report_of({"set": ()})["pooled"] == {"n": 0}


def test_timing_a_real_store(asked: Asked, with_model: WithModel) -> None:
    stages: list[tuple[str, int, int | None]] = []
    slow = with_model(PacedGenerator(step_s=0.002))
    rows, skipped = time_questions(
        slow, Recording(k=2, max_tokens=10), lambda *step: stages.append(step)
    )
    assert not skipped
    assert [row.id for row in rows] == [query.id for query in asked.queries]
    for row in rows:
        assert row.generate_short >= 10 * 0.002
        assert row.auto >= row.gate
        assert row.always >= row.retrieve + 10 * 0.002
    assert stages[-1] == ("squad_small: timing", 3, 3)
    figures = report_of({"squad_small": rows})["pooled"]
    assert figures["predicted"]["formula"] > figures["stages"]["gate"] > 0
