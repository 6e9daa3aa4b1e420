"""Entries and feedback to lines and back, and invalid lines."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from audit_fixtures import make_entry
from hypothesis import given, settings
from hypothesis import strategies as st

from expertrag.api.types import (
    Coverage,
    Feedback,
    FinishReason,
    GateAction,
    GateMode,
    QuestionScope,
    Usage,
)
from expertrag.audit import AuditEntry
from expertrag.audit.entries import dump_entry, dump_feedback, parse_entry, parse_feedback

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
UNIT = st.floats(0, 1)
COUNT = st.integers(0, 2**31)
SECONDS = st.dictionaries(TEXT, st.floats(0, 100), max_size=3)
ENTRIES = st.builds(
    AuditEntry,
    id=TEXT,
    time=TEXT,
    generation=COUNT,
    gate=TEXT,
    mode=st.sampled_from(GateMode),
    action=st.sampled_from(GateAction),
    threshold=st.none() | UNIT,
    p_benefit=st.none() | UNIT,
    p_correct_closed_book=st.none() | UNIT,
    p_correct_retrieval=st.none() | UNIT,
    signals=st.dictionaries(TEXT, UNIT, max_size=3),
    cost=st.none() | st.builds(Usage, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, SECONDS),
    finish_reason=st.none() | st.sampled_from(FinishReason),
    support=st.none() | UNIT,
    p_sufficient=st.none() | UNIT,
    from_documents=st.none() | st.booleans(),
    question=st.none() | TEXT,
    scope=st.none() | st.sampled_from(QuestionScope),
    query=st.none() | TEXT,
    coverage=st.none()
    | st.builds(Coverage, COUNT, COUNT, COUNT, COUNT, st.none() | st.booleans(), TEXT),
)
FEEDBACK = st.builds(Feedback, TEXT, st.none() | st.booleans(), st.none() | TEXT, st.none() | TEXT)


@settings(max_examples=100, deadline=None)
@given(ENTRIES, FEEDBACK)
def test_round_trips(entry: AuditEntry, feedback: Feedback) -> None:
    line = dump_entry(entry)
    assert b"\n" not in line
    assert parse_entry(line) == entry
    assert parse_feedback(dump_feedback(feedback, "now")) == feedback


def test_every_truncated_line_is_rejected() -> None:
    line = dump_entry(replace(make_entry(1), question="Où est-ce?"))
    for end in range(len(line)):
        with pytest.raises(ValueError):
            parse_entry(line[:end])
    assert parse_entry(line).question == "Où est-ce?"


@pytest.mark.parametrize(
    "change",
    [
        {"id": 1},
        {"mode": "sometimes"},
        {"action": None},
        {"p_benefit": "high"},
        {"p_benefit": True},
        {"threshold": float("nan")},
        {"signals": []},
        {"signals": {"margin": "x"}},
        {"cost": []},
        {"cost": {"lm_calls": 1}},
        {"finish_reason": "bored"},
        {"from_documents": "some"},
        {"question": "\ud800"},
        {"query": 1},
        {"coverage": []},
        {"coverage": {"searched": 1}},
    ],
)
def test_invalid_fields_are_rejected(change: dict[str, object]) -> None:
    item = json.loads(dump_entry(make_entry(1)))
    with pytest.raises(ValueError):
        parse_entry(json.dumps({**item, **change}).encode())
    for line in (b"[]", b"[" * 100_000, b"null"):
        with pytest.raises(ValueError):
            parse_feedback(line)


def test_fields_of_other_versions_are_ignored() -> None:
    item = json.loads(dump_entry(make_entry(1)))
    item["cost"]["joules"] = 3
    removed = {"retrieval_weight": 0.6, "k": 1, "steps": 1}
    other = json.dumps({**item, **removed, "weather": "fair", "scope": "dream"}).encode()
    assert parse_entry(other) == make_entry(1)
