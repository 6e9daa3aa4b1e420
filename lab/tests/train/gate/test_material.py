"""Training material of a gate: rows, their signals, and which answers were right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expertrag.answer.drafts import DRAFT_WORDS, truncate_draft
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.types import Sampling
from expertrag.config import Config
from expertrag.llm import prompt
from expertrag.llm.abstentions import ABSTENTION
from expertrag_index.types import silent
from expertrag_lab.data.rows import dump_row, read_rows
from expertrag_lab.data.types import Branch, GateRecord, Recorded, Row, RowSet
from expertrag_lab.train.gate.material import (
    MISS_COST,
    GateMaterial,
    best_threshold,
    default_groups,
    material,
)
from expertrag_lab.train.gate.signals import SignalSource
from expertrag_lab.train.gate.source import open_source
from expertrag_retriever.gate.predictor import Predictions
from expertrag_retriever.gate.signals import SignalGroup

OpenSource = Callable[..., SignalSource]


@pytest.fixture
def source(model_config: Config, tmp_path: Path) -> OpenSource:
    return lambda *groups: open_source(groups, model_config.model, tmp_path)


def _row(number: int, **fields: Any) -> Row:
    given = {"answers": ("Paris",), "never": f"Draft number {number}.", "one_step": "Paris"}
    return Row(id=str(number), question=f"Question {number}?", **{**given, **fields})


def _set(*rows: Row) -> RowSet:
    return RowSet("rows", rows, (), "the digest of the whole file")


def test_right_answers_and_requests_that_need_none(source: OpenSource) -> None:
    rows = _set(
        _row(1),
        _row(2, never="It is Paris.", one_step="Rome"),
        _row(3, answers=None, needs_documents=False),
        _row(4, answers=None),
        _row(5, answers=()),
        _row(6, answers=None, needs_documents=False, one_step=ABSTENTION),
    )
    found = material([rows], source(SignalGroup.QUESTION), silent)
    assert found.right.tolist() == [[False, True], [True, False], [True, True], [True, False]]
    assert found.benefit.tolist() == [True, False, False, False]
    assert len(found.signals) == 4
    with pytest.raises(InvalidArgument, match="no row has accepted answers"):
        material([_set(_row(4, answers=None))], source(SignalGroup.QUESTION), silent)


def test_readings_are_cached_by_their_inputs(source: OpenSource) -> None:
    opened = source(SignalGroup.QUESTION, SignalGroup.DRAFT)
    rows = [_row(number, never=f"{'word ' * number}Paris") for number in range(1, 5)]
    every = opened.measure(_set(*rows), silent)
    again = opened.measure(_set(*rows[2:]), silent)  # some rows of the same file
    for whole, part in zip(every[2:], again, strict=True):
        assert part.numbers["draft_log_probability"] == pytest.approx(
            whole.numbers["draft_log_probability"], rel=0.05
        )


def test_a_long_draft_is_truncated_like_a_recorded_one() -> None:
    assert truncate_draft("a  b\nc") == "a b c"
    assert len(truncate_draft("word " * 500).split()) == DRAFT_WORDS


def test_rows_of_another_model_are_rejected(source: OpenSource) -> None:
    gate = GateRecord("training-free-3", 0.5, 0.5, {"margin": 0.3, "p_documents": 0.2})
    row = _row(1, recorded=Recorded(Branch(), Branch(), gate))
    assert default_groups([_set(row)]) == (
        SignalGroup.QUESTION, SignalGroup.STORE, SignalGroup.PREFILL,
    )  # fmt: skip
    opened = source(*default_groups([_set(row)]))
    (found,) = opened.measure(_set(row), silent)
    assert found.numbers["margin"] == 0.3
    assert row.recorded is not None
    other = replace(row.recorded, gate=replace(gate, generator="0123456789"))
    with pytest.raises(Conflict, match=r"another language model \(01234567, not"):
        opened.measure(_set(replace(row, recorded=other)), silent)
    other = replace(row.recorded, gate=replace(gate, embedder="abcdefgh9"))
    with pytest.raises(Conflict, match=r"another embedder \(abcdefgh, not .* with --index"):
        opened.measure(_set(replace(row, recorded=other)), silent)


def test_a_miss_costs_more_than_a_search() -> None:
    """Accuracy alone would search only at a benefit of .9, and a question at .3 would be missed."""
    benefit = np.array([0.9, 0.3, 0.05])
    rows = GateMaterial([], np.array([[False, True], [True, False], [True, False]]))
    found = best_threshold(Predictions(benefit, benefit, benefit), rows, 0.02)
    assert found == 1 / (1 + MISS_COST)
    rare = np.array([0.1, 0.05, 0.04])
    assert best_threshold(Predictions(rare, rare, rare), rows, 0.02) == 0.1


def test_a_row_has_the_same_vectors_as_in_serving(source: OpenSource) -> None:
    gate = GateRecord("training-free-3", 0.5, 0.5, {"margin": 0.3})
    rows = [_row(number, recorded=Recorded(Branch(), Branch(), gate)) for number in range(1, 3)]
    opened = source(SignalGroup.PREFILL)
    found = opened.measure(_set(*rows), silent)
    assert opened.generator is not None
    for row, signals in zip(rows, found, strict=True):
        served = opened.generator.begin(
            prompt.write_closed_book(row.question), Sampling(max_tokens=32)
        ).peek(6)
        assert served is not None
        assert served.vectors.keys() <= signals.vectors.keys()
        for name, vector in served.vectors.items():
            assert signals.vectors[name].tolist() == vector.tolist()


def test_a_row_keeps_whether_it_needs_documents(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = (_row(1), _row(2, answers=None, needs_documents=False))
    path.write_text("\n".join(map(dump_row, rows)))
    assert read_rows(path).rows == rows
