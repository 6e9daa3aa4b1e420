"""Log entries and feedback as JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from expertrag.api.tables import Coverage
from expertrag.api.types import (
    Feedback,
    FinishReason,
    GateAction,
    GateMode,
    QuestionScope,
    Usage,
)
from expertrag.runtime.json_lines import parse_object

_COST = {item.name for item in fields(Usage)}
_COVERED = ("searched", "matched", "read", "left_out")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision of the gate, and the answer that it belongs to.

    ``time`` is the time of the decision, ISO 8601 in UTC. ``gate`` names the gate that turned the
    signals into probabilities. ``cost`` is None if there was no answer (``Decide``).
    ``finish_reason`` and ``from_documents`` are None if the answer did not finish: cancelled, out
    of time, failed. ``question`` is None unless texts are logged; without it, ``signals`` also
    lacks the counts of its wording (``question_…``). ``rewritten_question``: what was decided on
    instead, if the conversation changed the question; also None unless texts are logged. ``caller``
    is the id of a token or the subject of a JSON Web Token; ``collection`` is named with its
    tenant.

    ``scope``: what the question asks of the documents. ``coverage``: of an answer about a set of
    them. ``query``: how it was counted, with values of the question. It is None unless texts are
    logged, and ``reason`` of the coverage, which may name documents, is empty.
    """

    id: str
    time: str
    generation: int
    gate: str
    mode: GateMode
    action: GateAction
    threshold: float | None = None
    p_benefit: float | None = None
    p_correct_closed_book: float | None = None
    p_correct_retrieval: float | None = None
    signals: Mapping[str, float] = field(default_factory=dict)
    cost: Usage | None = None
    finish_reason: FinishReason | None = None
    support: float | None = None
    p_sufficient: float | None = None
    from_documents: bool | None = None
    domains: Mapping[str, float] | None = None
    expert: str | None = None
    pattern: str | None = None
    question: str | None = None
    rewritten_question: str | None = None
    caller: str | None = None
    collection: str | None = None
    scope: QuestionScope | None = None
    query: str | None = None
    coverage: Coverage | None = None


def dump_entry(entry: AuditEntry) -> bytes:
    """Return an entry as one line without the newline; None values are omitted."""
    return _line(asdict(entry))


def dump_feedback(feedback: Feedback, time: str) -> bytes:
    """Return feedback as one line without the newline; ``time`` as in ``AuditEntry``."""
    return _line({"time": time, **asdict(feedback)})


def parse_entry(line: bytes) -> AuditEntry:
    """Parse a line of the log, ignoring fields of other versions.

    :raises ValueError: if it is torn, or not an entry.
    """
    item = parse_object(line)
    return AuditEntry(
        id=_text(item, "id"),
        time=_text(item, "time"),
        generation=int(_number(item, "generation")),
        gate=_text(item, "gate"),
        mode=GateMode(_text(item, "mode")),
        action=GateAction(_text(item, "action")),
        threshold=_optional_number(item, "threshold"),
        p_benefit=_optional_number(item, "p_benefit"),
        p_correct_closed_book=_optional_number(item, "p_correct_closed_book"),
        p_correct_retrieval=_optional_number(item, "p_correct_retrieval"),
        signals=_numbers(item, "signals"),
        cost=_cost(item["cost"]) if "cost" in item else None,
        finish_reason=FinishReason(item["finish_reason"]) if "finish_reason" in item else None,
        support=_optional_number(item, "support"),
        p_sufficient=_optional_number(item, "p_sufficient"),
        from_documents=_optional_truth(item, "from_documents"),
        domains=_numbers(item, "domains") if "domains" in item else None,
        expert=_text(item, "expert") if "expert" in item else None,
        pattern=_text(item, "pattern") if "pattern" in item else None,
        question=_text(item, "question") if "question" in item else None,
        rewritten_question=(
            _text(item, "rewritten_question") if "rewritten_question" in item else None
        ),
        caller=_text(item, "caller") if "caller" in item else None,
        collection=_text(item, "collection") if "collection" in item else None,
        scope=_scope(item),
        query=_text(item, "query") if "query" in item else None,
        coverage=_coverage(item["coverage"]) if "coverage" in item else None,
    )


def parse_feedback(line: bytes) -> Feedback:
    """Parse a line of feedback.

    :raises ValueError: if it is torn, or not feedback.
    """
    item = parse_object(line)
    return Feedback(
        answer_id=_text(item, "answer_id"),
        helpful=_optional_truth(item, "helpful"),
        correct_answer=_text(item, "correct_answer") if "correct_answer" in item else None,
        query=_text(item, "query") if "query" in item else None,
    )


def _line(item: Mapping[str, Any]) -> bytes:
    present = {name: value for name, value in item.items() if value is not None}
    return json.dumps(present, ensure_ascii=False, allow_nan=False).encode()


def _text(item: Mapping[str, Any], name: str) -> str:
    if not isinstance(item.get(name), str):
        raise ValueError(f"{name} is missing or not a string")
    text: str = item[name]
    text.encode()  # JSON escapes can make lone surrogates, which raise a ValueError
    return text


def _number(item: Mapping[str, Any], name: str) -> float:
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is missing or not a number")
    return float(value)


def _optional_number(item: Mapping[str, Any], name: str) -> float | None:
    return _number(item, name) if name in item else None


def _optional_truth(item: Mapping[str, Any], name: str) -> bool | None:
    value = item.get(name)
    if not isinstance(value, bool | None):
        raise ValueError(f"{name} is neither true nor false")
    return value


def _numbers(item: Mapping[str, Any], name: str) -> dict[str, float]:
    values = item.get(name)
    if not isinstance(values, dict):
        raise ValueError(f"{name} is not an object")
    return {key: _number(values, key) for key in values}


def _cost(item: object) -> Usage:
    if not isinstance(item, dict):
        raise ValueError("cost is not an object")
    seconds = _numbers(item, "stage_seconds")
    counts = {name: int(_number(item, name)) for name in _COST & item.keys() - {"stage_seconds"}}
    return Usage(**counts, stage_seconds=seconds)


def _scope(item: Mapping[str, Any]) -> QuestionScope | None:
    """Return the scope; None for one of a later version."""
    name = item.get("scope")
    return QuestionScope(name) if name in tuple(QuestionScope) else None


def _coverage(item: object) -> Coverage:
    if not isinstance(item, dict):
        raise ValueError("coverage is not an object")
    counts = {name: int(_number(item, name)) for name in _COVERED}
    return Coverage(
        **counts,
        complete=_optional_truth(item, "complete"),
        reason=_text(item, "reason") if "reason" in item else "",
    )
