"""Fixtures that make entries and write logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from expertrag.api.types import Feedback, FinishReason, GateAction, GateMode, Usage
from expertrag.audit import AuditEntry
from expertrag.audit.audit import FEEDBACK
from expertrag.audit.entries import dump_entry, dump_feedback

NOW = "2026-11-25T20:00:00.000+00:00"
CLOSED_S = {"embed": 0.1, "gate": 0.1, "prefill": 1.0, "generate": 2.0}
OPEN_S = {"embed": 0.1, "gate": 0.1, "prefill": 1.0, "search": 0.5, "generate": 4.0, "ground": 0.3}

WriteLog = Callable[..., Path]


def make_entry(number: int, p: float | None = 0.5, **fields: Any) -> AuditEntry:
    """Make a finished AUTO answer with threshold 0.5; its cost depends on its action."""
    retrieved = p is not None and p >= 0.5
    usage = (
        Usage(lm_calls=2, retrieval_calls=1, stage_seconds=OPEN_S)
        if retrieved
        else Usage(lm_calls=1, stage_seconds=CLOSED_S)
    )
    values: dict[str, Any] = {
        "id": f"{number:032x}",
        "time": NOW,
        "generation": 1,
        "gate": "training-free-3",
        "mode": GateMode.AUTO,
        "action": GateAction.RETRIEVE if retrieved else GateAction.CLOSED_BOOK,
        "threshold": 0.5,
        "p_benefit": p,
        "cost": usage,
        "finish_reason": FinishReason.STOP,
    }
    return AuditEntry(**{**values, **fields})


@pytest.fixture
def write_log(tmp_path: Path) -> WriteLog:
    """Writes a log and its feedback."""

    def write(entries: Iterable[AuditEntry], feedback: Iterable[Feedback] = ()) -> Path:
        path = tmp_path / "audit.jsonl"
        path.write_bytes(b"".join(dump_entry(item) + b"\n" for item in entries))
        said = b"".join(dump_feedback(item, NOW) + b"\n" for item in feedback)
        (tmp_path / FEEDBACK).write_bytes(said)
        return path

    return write
