"""Gates that rows can be scored with, and errors for gates that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expertrag.api.errors import InvalidArgument
from expertrag_lab.data.types import Branch, GateRecord, Recorded, Row, RowSet
from expertrag_lab.eval.gates import load_gate, load_recorded_gate

NAME = "training-free-3"


def a_row(identifier: str, p: float | None = None, threshold: float = 0.5, name: str = NAME) -> Row:
    recorded = None
    if p is not None:
        recorded = Recorded(Branch(), Branch(), GateRecord(name, p, threshold))
    return Row(identifier, "question?", ("yes",), "no", "yes", recorded=recorded)


def a_set(name: str, *rows: Row) -> RowSet:
    return RowSet(name, rows, (), "")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a file of probabilities and return its path."""

    def made(*lines: dict[str, Any]) -> str:
        path = tmp_path / "mine.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return str(path)

    return made


def test_the_recorded_gate_is_read_from_the_rows() -> None:
    sets = [
        a_set("a", a_row("1", 0.2, 0.4), a_row("2", 0.7, 0.4)),
        a_set("b", a_row("1", 0.9, 0.4)),
    ]
    gate = load_gate(NAME, sets)
    assert (gate.name, gate.fingerprint, gate.threshold, gate.recorded) == (NAME, NAME, 0.4, True)
    assert [gate.probabilities(each).tolist() for each in sets] == [[0.2, 0.7], [0.9]]
    assert load_gate(NAME, sets, threshold=0.0).threshold == 0.0


def test_rows_of_another_gate_are_rejected_if_a_name_is_required() -> None:
    other = a_set("nq", a_row("7", 0.5, name="fitted-3"))
    with pytest.raises(InvalidArgument, match="row 7 of nq was recorded with gate fitted-3, not t"):
        load_gate(NAME, [other])
    assert load_recorded_gate([other]).name == "fitted-3"
    with pytest.raises(InvalidArgument, match="row 1 of b was recorded with gate training-free-3"):
        load_recorded_gate([other, a_set("b", a_row("1", 0.5))])


def test_rows_with_several_thresholds_need_a_choice() -> None:
    mixed = a_set("a", a_row("1", 0.5, threshold=0.3), a_row("2", 0.5, threshold=0.6))
    with pytest.raises(InvalidArgument, match=r"thresholds from 0\.3 to 0\.6; choose one with --t"):
        load_recorded_gate([mixed])
    assert load_recorded_gate([mixed], 0.4).threshold == 0.4


def test_a_file_of_probabilities_is_a_gate(write: Callable[..., str]) -> None:
    path = write(
        {"_id": "1", "p_benefit": 1},
        {"_id": "2", "p_benefit": 0.25, "why": "other fields are not read"},
        {"_id": "of another run", "p_benefit": 0.5},
    )
    rows = a_set("a", a_row("2"), a_row("1"))
    gate = load_gate(path, [rows])
    assert gate.probabilities(rows).tolist() == [0.25, 1.0]
    assert (gate.name, gate.threshold, gate.recorded) == ("mine.jsonl", 0.5, False)
    assert len(gate.fingerprint) == 64
    assert load_gate(path, [rows], threshold=0.3).threshold == 0.3


def test_sets_with_the_same_ids_are_distinguished(write: Callable[..., str]) -> None:
    sets = [a_set("a", a_row("1"), a_row("2")), a_set("b", a_row("1"))]
    gate = load_gate(
        write(
            {"_id": "1", "p_benefit": 0.1, "set": "a"},
            {"_id": "1", "p_benefit": 0.9, "set": "b"},
            {"_id": "2", "p_benefit": 0.5},
        ),
        sets,
    )
    assert [gate.probabilities(each).tolist() for each in sets] == [[0.1, 0.5], [0.9]]
    with pytest.raises(
        InvalidArgument, match='line 1 has no "set", and 2 files of rows contain its'
    ):
        load_gate(write({"_id": "1", "p_benefit": 0.1}), sets)


def test_missing_rows_are_counted(write: Callable[..., str]) -> None:
    rows = a_set("a", *map(a_row, "wxyz"))
    gate = load_gate(write({"_id": "w", "p_benefit": 0.1}, {"_id": "y", "p_benefit": 0.1}), [rows])
    with pytest.raises(
        InvalidArgument, match=r"mine\.jsonl lacks 2 of 4 rows of a, the first is x; add"
    ):
        gate.probabilities(rows)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({"_id": "1", "p_benefit": 1.01}, "line 2 has no p_benefit between 0 and 1"),
        ({"_id": "1", "p_benefit": -0.1}, "line 2 has no p_benefit between 0 and 1"),
        ({"_id": "1", "p_benefit": "0.5"}, "line 2 has no p_benefit between 0 and 1"),
        ({"_id": "1", "p_benefit": True}, "line 2 has no p_benefit between 0 and 1"),
        ({"_id": "1", "p_benefit": float("nan")}, "line 2 has no p_benefit between 0 and 1"),
        ({"_id": "1"}, "line 2 has no p_benefit between 0 and 1"),
        ({"p_benefit": 0.5}, "line 2 has no _id"),
        ({"_id": 1, "p_benefit": 0.5}, "line 2 has no _id"),
        ({"_id": "1", "p_benefit": 0.5, "set": 3}, "line 2 has a set that is not a string"),
        ({"_id": "0", "p_benefit": 0.5}, "line 2 repeats an earlier line"),
    ],
)
def test_a_bad_line_is_named(write: Callable[..., str], line: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidArgument, match=fault):
        load_gate(write({"_id": "0", "p_benefit": 0.5}, line), [a_set("a", a_row("0"))])
