"""Rows: written and read back; invalid rows are counted."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from file_helper import write_lines

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_lab.data.rows import dump_row, read_rows
from expertrag_lab.data.types import Branch, GateRecord, Recorded, Row

PLAIN = {"_id": "1", "question": "?", "answers": ["x"], "never": "x", "one_step": "y"}
GATE = GateRecord("g", 0.5, 0.5)


def test_rows_round_trip_through_a_file(tmp_path: Path) -> None:
    recorded = Recorded(
        never=Branch(lm_calls=1, confidence=0.5, stage_seconds={"generate": 0.1}),
        one_step=Branch(documents=("d1", "d2"), cited=("d1",), relevant_support=1.0),
        gate=GateRecord("training-free-3", 0.7, 0.5, {"margin": 0.25}),
    )
    rows = (
        Row("1", "Où?", ("x",), "never", "one\nstep", "multi", ("d1",), recorded),
        Row("2", "unanswerable?", (), "a", "b", recorded=recorded),
        Row("3", "no short answers?", None, "a", "b", recorded=recorded),
    )
    path = tmp_path / "set.jsonl"
    path.write_text("".join(dump_row(row) + "\n" for row in rows))
    read = read_rows(path)
    assert (read.name, read.rows, read.skipped) == ("set", rows, ())
    packed = tmp_path / "set.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_rows(packed) == read


def test_answers_of_an_earlier_version_are_ignored(tmp_path: Path) -> None:
    row = Row("1", "?", ("x",), "a", "b", recorded=Recorded(Branch(), Branch(), GATE))
    item = json.loads(dump_row(row))
    item["recorded"]["ways"] = {"one_passage": item["recorded"]["one_step"]}
    path = write_lines(tmp_path / "rows.jsonl", [{**item, "one_passage": "passage"}])
    assert read_rows(path).rows == (row,)


def test_invalid_rows_are_counted_with_the_reason(tmp_path: Path) -> None:
    bad = [
        {**PLAIN, "never": None},
        {key: value for key, value in PLAIN.items() if key != "_id"},
        {**PLAIN, "_id": "2", "answers": "x"},
        {**PLAIN, "_id": "3", "answers": None},
        {**PLAIN, "_id": "4", "multi_step": 3},
        {**PLAIN, "_id": "5", "recorded": {"never": {}}},
        PLAIN,
    ]
    read = read_rows(write_lines(tmp_path / "rows.jsonl", [PLAIN, *bad]))
    assert [row.id for row in read.rows] == ["1"]
    assert [(item.id, item.reason) for item in read.skipped] == [
        ("1", "never is missing or not a string"),
        ("line 3", "_id is missing or not a string"),
        ("2", "answers is not a list of strings"),
        ("3", "answers is missing or not a list of strings"),
        ("4", "multi_step is not a string"),
        ("5", "recorded is not in the format of 'expertrag eval record'"),
        ("1", "line 8 has the _id of an earlier row"),
    ]


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("gate", "p_benefit", 7),
        ("gate", "p_benefit", float("nan")),
        ("gate", "p_benefit", None),
        ("gate", "p_benefit", "0.5"),
        ("gate", "threshold", "a"),
        ("gate", "lm_calls", "x"),
        ("gate", "signals", {"margin": float("inf")}),
        ("gate", "unknown", 1),
        ("never", "documents", "abc"),
        ("never", "lm_calls", -1),
        ("one_step", "confidence", 1.5),
        ("one_step", "stage_seconds", [1]),
        ("one_step", "evidence", {"evidence_missing": "none"}),
        ("one_step", "sufficient", 1),
    ],
)
def test_recorded_values_are_validated(tmp_path: Path, part: str, name: str, value: object) -> None:
    recorded = Recorded(Branch(), Branch(), GATE)
    good = json.loads(dump_row(Row("1", "?", ("x",), "a", "b", recorded=recorded)))
    bad = json.loads(dump_row(Row("2", "?", ("x",), "a", "b", recorded=recorded)))
    bad["recorded"][part][name] = value
    read = read_rows(write_lines(tmp_path / "rows.jsonl", [good, bad]))
    assert [row.id for row in read.rows] == ["1"]
    assert [item.id for item in read.skipped] == ["2"]


def test_invalid_ids(tmp_path: Path) -> None:
    items = [PLAIN, {**PLAIN, "_id": ""}, {**PLAIN, "_id": "\ud800"}]
    path = write_lines(tmp_path / "rows.jsonl", items)
    assert [item.reason for item in read_rows(path).skipped] == [
        "_id is empty",
        "_id contains a lone surrogate, which is not valid text",
    ]


def test_files_without_a_usable_row(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="check the path"):
        read_rows(tmp_path / "none.jsonl")
    path = tmp_path / "rows.jsonl"
    path.write_text("")
    with pytest.raises(InvalidArgument, match="contains no usable row"):
        read_rows(path)
    path.write_text('{"_id": "a"}\n')
    with pytest.raises(InvalidArgument, match="the first: a: question is missing"):
        read_rows(path)
    path.write_text("{\n")
    with pytest.raises(InvalidArgument, match="line 1 is not JSON"):
        read_rows(path)
    path.write_text(json.dumps({"question": "Où?"}, ensure_ascii=False), encoding="latin-1")
    with pytest.raises(InvalidArgument, match="line 1 is not UTF-8, in which the file has to be"):
        read_rows(path)
