"""The cost formula against measured time: computed by hand, and timed on a real store."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import PacedGenerator

from expertrag.answer.pipeline import Pipeline
from expertrag.data.datasets import load_dataset
from expertrag.eval.cost import Timed, cost_report, time_questions
from expertrag.eval.manifest import make_manifest
from expertrag.eval.questions import Asked
from expertrag.eval.record import Recording
from expertrag.eval.serving import Opened
from expertrag.eval.stores import build_store
from expertrag_index.index import Index
from expertrag_retriever.encoder import SentenceTransformerEmbedder

SQUAD = Path(__file__).parents[1] / "data" / "squad_small"


def timed(name: str, retrieved: bool, auto: float) -> Timed:
    return Timed(
        name,
        retrieved,
        gate=0.4,
        prefill=0.3,
        retrieve=0.1,
        generate_long=3.0,
        generate_short=1.0,
        auto=auto,
        never=1.0,
        always=3.1,
    )


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


def test_timing_a_real_store(tmp_path: Path, embedder: SentenceTransformerEmbedder) -> None:
    dataset = load_dataset(SQUAD)
    stages: list[tuple[str, int, int | None]] = []
    store, _ = build_store(dataset, embedder, "chunk", tmp_path, lambda *_: None)
    model = PacedGenerator(step_s=0.002)
    pipeline = Pipeline(store, embedder, model)
    with Index.open(store) as index:
        opened = Opened(pipeline, model, index, (), {})
        asked = Asked(dataset, dataset.queries[:4], opened, tmp_path)
        rows, skipped = time_questions(
            asked, Recording(k=2, max_tokens=10), lambda *step: stages.append(step)
        )
    pipeline.close()
    assert not skipped
    assert [row.id for row in rows] == [query.id for query in dataset.queries[:4]]
    for row in rows:
        assert row.generate_short >= 10 * 0.002
        assert row.auto >= row.gate
        assert row.always >= row.retrieve + 10 * 0.002
    assert stages[-1] == ("squad_small: timing", 4, 4)
    figures = report_of({"squad_small": [dataclasses.replace(row) for row in rows]})["pooled"]
    assert figures["predicted"]["formula"] > figures["stages"]["gate"] > 0
