"""Counterfactual rows as JSON lines: a model's answers without and with retrieval.

A row is ``{"_id", "question", "answers", "never", "one_step"}``, optionally ``multi_step``,
``relevant``, ``recorded`` and ``needs_documents`` (see ``Row``); AdaRAGUE's published predictions
have the first six.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_lab.data.types import POOLED, Branch, GateRecord, Recorded, Row, RowSet, Skipped
from expertrag_lab.json_lines import find_file, is_encodable, is_string_list, read_lines

_KINDS = {str: "string", bool: "boolean"}
_ROUNDING = 1e-6  # tolerance for a mean of 32-bit probabilities


def read_rows(path: Path) -> RowSet:
    """Read a file of rows; rows with missing or wrong fields are skipped and counted.

    :raises NotFound: the file does not exist.
    :raises InvalidArgument: a line is not a JSON object, or no row is usable.
    """
    items, digest = read_lines(find_file(path))
    rows: dict[str, Row] = {}
    skipped = []
    for number, item in items:
        row = parse_row(item)
        if isinstance(row, str):
            skipped.append(Skipped(str(item.get("_id") or f"line {number}"), row))
        elif row.id in rows:
            skipped.append(Skipped(row.id, f"line {number} has the _id of an earlier row"))
        else:
            rows[row.id] = row
    if not rows:
        why = f"; the first: {skipped[0].id}: {skipped[0].reason}" if skipped else ""
        raise InvalidArgument(
            f"{path} contains no usable row{why}. A row is a JSON object with _id, question, "
            "answers, never and one_step; make rows with 'expertrag eval record'"
        )
    return RowSet(_set_name(path), tuple(rows.values()), tuple(skipped), digest)


def read_row_sets(paths: Sequence[Path]) -> tuple[RowSet, ...]:
    """Read files of rows, or all files of folders, each as a set named after its file.

    :raises NotFound: a file does not exist, or a folder contains no file of rows.
    :raises InvalidArgument: two files have the same name, or a file contains no usable row.
    """
    files: dict[str, Path] = {}
    for path in (file for given in paths for file in _row_files(given)):
        name = _set_name(path)
        if name == POOLED:
            raise InvalidArgument(
                f"rows: {path}: {POOLED} is reserved for all sets together; rename the file"
            )
        if name in files:
            raise InvalidArgument(
                f"rows: {files[name]} and {path} would both be the set {name}; rename one, or "
                "evaluate them separately"
            )
        files[name] = path
    return tuple(map(read_rows, files.values()))


def dump_row(row: Row) -> str:
    """Serialize a row as one JSON line, without the newline."""
    fields = {
        "_id": row.id,
        "question": row.question,
        "answers": row.answers,
        "never": row.never,
        "one_step": row.one_step,
        "multi_step": row.multi_step,
        "relevant": row.relevant or None,
        "recorded": dataclasses.asdict(row.recorded) if row.recorded else None,
        "needs_documents": None if row.needs_documents else False,
    }
    present = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(present, ensure_ascii=False, allow_nan=False)


def _set_name(path: Path) -> str:
    return path.name.split(".jsonl")[0]


def _row_files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    files = sorted([*path.glob("*.jsonl"), *path.glob("*.jsonl.gz")])
    if not files:
        raise NotFound(
            f"rows: folder {path} contains no .jsonl or .jsonl.gz file; make rows with 'expertrag "
            "eval record DATASET --out ROWS'",
            reason="ROWS_NOT_FOUND",
        )
    return files


def parse_row(item: Mapping[str, Any]) -> Row | str:
    """Parse one row; return what is wrong with it if it is invalid."""
    if fault := _fault(item):
        return fault
    answers = item.get("answers")
    try:
        recorded = _parse_recorded(item["recorded"]) if "recorded" in item else None
    except (KeyError, TypeError, ValueError):
        return "recorded is not in the format of 'expertrag eval record'"
    return Row(
        id=item["_id"],
        question=item["question"],
        answers=None if answers is None else tuple(answers),
        never=item["never"],
        one_step=item["one_step"],
        multi_step=item.get("multi_step"),
        relevant=tuple(item.get("relevant") or ()),
        recorded=recorded,
        needs_documents=item.get("needs_documents") is not False,
    )


def _fault(item: Mapping[str, Any]) -> str:
    """Return what is wrong with the fields of a row except ``recorded``; empty if valid."""
    for name in ("_id", "question", "never", "one_step"):
        if not isinstance(item.get(name), str):
            return f"{name} is missing or not a string"
        if not is_encodable(item[name]):
            return f"{name} contains a lone surrogate, which is not valid text"
    if not item["_id"]:
        return "_id is empty"
    answers = item.get("answers")
    for name, value in (("answers", answers), ("relevant", item.get("relevant"))):
        if value is not None and not is_string_list(value):
            return f"{name} is not a list of strings"
    for name, kind in (("multi_step", str), ("needs_documents", bool)):
        if item.get(name) is not None and not isinstance(item[name], kind):
            return f"{name} is not a {_KINDS[kind]}"
    if answers is None and item.get("needs_documents") is not False and "recorded" not in item:
        return "answers is missing or not a list of strings"
    return ""


def _parse_recorded(item: Mapping[str, Any]) -> Recorded:
    gate = GateRecord(**item["gate"])
    _check(all(isinstance(name, str) for name in (gate.name, gate.generator, gate.embedder)))
    _check(_is_share(gate.p_benefit) and _is_number(gate.threshold))
    _check(all(_is_count(n) for n in (gate.lm_calls, gate.prompt_tokens, gate.completion_tokens)))
    _check(_are_numbers(gate.signals) and _are_numbers(gate.stage_seconds))
    return Recorded(_branch(item["never"]), _branch(item["one_step"]), gate)


def _branch(item: Mapping[str, Any]) -> Branch:
    _check(is_string_list(item["documents"]) and is_string_list(item["cited"]))
    branch = Branch(
        **{**item, "documents": tuple(item["documents"]), "cited": tuple(item["cited"])}
    )
    counts = (branch.lm_calls, branch.retrieval_calls, branch.prompt_tokens)
    _check(all(_is_count(n) for n in (*counts, branch.completion_tokens)))
    _check(_are_numbers(branch.stage_seconds) and _are_numbers(branch.evidence))
    _check(branch.sufficient is None or isinstance(branch.sufficient, bool))
    _check(branch.confidence is None or _is_share(branch.confidence))
    _check(branch.relevant_support is None or _is_share(branch.relevant_support))
    return branch


def _check(condition: bool) -> None:
    if not condition:
        raise ValueError


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0.0 <= value <= 1.0 + _ROUNDING


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_numbers(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))
