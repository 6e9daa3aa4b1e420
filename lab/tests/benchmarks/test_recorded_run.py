"""Records of two runs are compared value by value; nothing else counts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import recorded_run
from recorded_differences import SHOWN_ROWS, Row, differences


def row(number: int, **values: Any) -> Row:
    return {"key": ["grpc", "model", number, "demo", "Why?"], "value": {"text": "So.", **values}}


def test_equal_runs_have_no_differences() -> None:
    rows = [row(0), row(1, score=0.1)]
    assert differences(rows, [row(0), row(1, score=0.1)]) == []


def test_a_different_text_is_shown_with_its_question() -> None:
    lines = differences([row(0), row(1)], [row(0), row(1, text="Thus.")])
    assert lines == [
        '["grpc","model",1,"demo","Why?"]',
        '  text: "So." -> "Thus."',
        "1 of 2 values differ",
    ]


def test_a_last_digit_and_a_shorter_list_are_differences() -> None:
    before = row(0, passages=[{"score": 0.1}, {"score": 0.2}], support=None)
    after = row(0, passages=[{"score": 0.10000000000000002}], support=0.0)
    assert differences([before], [after])[1:-1] == [
        "  passages.0.score: 0.1 -> 0.10000000000000002",
        '  passages.1: {"score": 0.2} -> "(absent)"',
        "  support: null -> 0.0",
    ]


@pytest.mark.parametrize(
    ("recorded", "current", "where"), [([0, 1], [0], "record"), ([0], [0, 1], "current run")]
)
def test_a_missing_question_is_a_difference(
    recorded: list[int], current: list[int], where: str
) -> None:
    lines = differences(map(row, recorded), map(row, current))
    assert lines == [
        '["grpc","model",1,"demo","Why?"]',
        f"  only in the {where}",
        "1 of 2 values differ",
    ]


def test_many_differences_are_cut_but_counted() -> None:
    lines = differences(map(row, range(30)), [row(number, text="Thus.") for number in range(30)])
    assert len(lines) == 2 * SHOWN_ROWS + 1
    assert lines[-1] == "30 of 30 values differ"


def test_times_and_ids_are_left_out_and_texts_of_passages_hashed() -> None:
    passage = {"ordinal": 0, "text": "A long text.", "document_id": "a"}
    usage = {"lm_calls": 1, "stage_seconds": {"search": 0.1}}
    answer = {"id": "1f", "decision": {"id": "1f"}, "passages": [passage], "usage": usage}
    assert recorded_run.cleaned(answer) == {
        "decision": {},
        "passages": [{**passage, "text": recorded_run.digest(b"A long text.")}],
        "usage": {"lm_calls": 1},
    }


def test_a_short_run_is_compared_with_the_beginning_of_a_record() -> None:
    slow = "qwen2.5-coder-1.5b-instruct"
    keys: list[list[Any]] = [["store", "demo"]]
    keys += [["grpc", model, number] for model in ("fast", slow) for number in range(10)]
    rows = [key for key in keys if recorded_run.is_in(key, 8, ["fast", slow])]
    assert len(rows) == 1 + 8 + 2
    assert recorded_run.is_in(["http", "fast", 0], 8, [slow]) is False


def test_the_path_of_the_documents_does_not_change_the_hashes(tmp_path: Path) -> None:
    hashes = []
    for name in ("a", "b"):
        store = tmp_path / name
        (store / "generations" / "gen-000001").mkdir(parents=True)
        manifest = f'{{"chunks": 1, "created_at": "{name}"}}'
        (store / "generations" / "gen-000001" / "manifest.json").write_text(manifest)
        with closing(sqlite3.connect(store / "sources.db")) as database, database:
            database.execute("CREATE TABLE items (key TEXT)")
            database.execute("INSERT INTO items VALUES (?)", (f"/{name}/documents/x",))
        hashes.append(recorded_run.hashes(store, Path(f"/{name}/documents")))
    assert hashes[0] == hashes[1]
    assert hashes[0]["manifest"] == {"chunks": 1}
