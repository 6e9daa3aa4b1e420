"""The log of one pipeline: every decision gets an id and, where a log is kept, a line."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from expertrag.api.errors import Conflict, InvalidArgument, Unavailable
from expertrag.api.types import AnswerEvent, DoneEvent, Feedback, GateDecision
from expertrag.api.validation import check_feedback
from expertrag.audit.append import Appender
from expertrag.audit.entries import AuditEntry, dump_entry, dump_feedback
from expertrag.config import AuditConfig

if TYPE_CHECKING:
    from expertrag.runtime.meter import Meter

FEEDBACK = "feedback.jsonl"
"""File of the feedback, in the folder of the log."""
WORDING = ("question_", "draft_")
"""How the names of signals of a text's wording begin (``gate/question.py``, ``gate/draft.py``)."""

# Not structlog: a client in process uses this too, and unconfigured structlog prints to stdout.
_log = logging.getLogger("expertrag.audit")


class Audit:
    """Where decisions and feedback go; without a path nowhere. Thread-safe."""

    def __init__(self, path: Path | None = None, *, texts: bool = False) -> None:
        """Take the file of the decisions; it is made by the first, feedback lies beside it.

        :param texts: keep the questions, too.
        """
        self._texts = texts
        self._decisions = Appender(path) if path else None
        self._feedback = Appender(path.with_name(FEEDBACK)) if path else None
        self._lock = threading.Lock()
        self._lost = 0  # lines, since the last that was written

    @classmethod
    def of(cls, config: AuditConfig) -> Audit:
        """Make the one that is configured.

        :raises InvalidArgument: its file cannot be written, which is told before the first answer.
        """
        if not config.path:
            return cls()
        path = Path(config.path)
        if path.name == FEEDBACK:
            raise _unusable(f"is {path}, where the feedback goes; choose another name")
        audit = cls(path, texts=config.texts)
        assert audit._decisions is not None, "there is a path"
        try:
            audit._decisions.check()
        except OSError as error:
            raise _unusable(
                f"{path} cannot be written ({error.strerror}); name a file in a folder of yours"
            ) from None
        return audit

    def answering(self, question: str, generation: int, meter: Meter | None = None) -> Entry:
        """Begin an entry, to be used as a context manager around the work.

        :param generation: of the store that is asked.
        :param meter: of the answer; None for a decision without one.
        """
        return Entry(self, question, generation, meter)

    def feedback(self, feedback: Feedback) -> None:
        """Keep what is said of an answer; when this returns it survives a power cut.

        :raises InvalidArgument: naming the field that is wrong.
        :raises Conflict: no log is kept.
        :raises Unavailable: the disk refuses.
        """
        check_feedback(feedback)
        if self._feedback is None:
            raise Conflict(
                "no audit log is kept here, so that feedback has no place; "
                "start the server with --audit-path FILE, or set EXPERTRAG_AUDIT_PATH",
                reason="AUDIT_OFF",
            )
        try:
            self._feedback.append(dump_feedback(feedback, _now()), durably=True)
        except OSError as error:
            raise Unavailable(
                f"the feedback could not be kept ({error.strerror}); "
                "free some space beside the audit log and send it again",
                reason="STORAGE_FULL",
            ) from error

    def close(self) -> None:
        """Close the files."""
        for appender in (self._decisions, self._feedback):
            if appender is not None:
                appender.close()

    def write(self, entry: AuditEntry) -> None:
        """Append an entry. What goes wrong is logged, once until it goes right again."""
        if self._decisions is None:
            return
        if not self._texts:
            entry = replace(entry, question=None, signals=_without_wording(entry.signals))
        try:
            self._decisions.append(dump_entry(entry))
        # Whatever it is, an answer is not to fail for its line in a log.
        except Exception as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            self._count_loss(reason)
        else:
            self._tell_recovery()

    def _count_loss(self, reason: str) -> None:
        with self._lock:
            self._lost += 1
            first = self._lost == 1
        if first:
            _log.warning("audit log not written (%s); answers go on without it", reason)

    def _tell_recovery(self) -> None:
        if not self._lost:
            return
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            _log.warning("audit log written again; %d decisions are missing", lost)


class Entry:
    """The entry of one call, which becomes a line when the call ends, however it ends."""

    def __init__(self, audit: Audit, question: str, generation: int, meter: Meter | None) -> None:
        self._audit = audit
        self._question = question
        self._generation = generation
        self._meter = meter
        self._entry: AuditEntry | None = None

    def __enter__(self) -> Entry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write(None)

    def decided(self, decision: GateDecision) -> GateDecision:
        """Return the decision with an id."""
        decision = replace(decision, id=uuid.uuid4().hex)
        self._entry = AuditEntry(
            id=decision.id,
            time=_now(),
            generation=self._generation,
            gate=decision.calibrator,
            mode=decision.mode,
            action=decision.action,
            threshold=decision.threshold,
            p_benefit=decision.p_benefit,
            p_correct_closed_book=decision.p_correct_closed_book,
            p_correct_retrieval=decision.p_correct_retrieval,
            signals=decision.signals,
            retrieval_weight=decision.retrieval_weight,
            k=decision.k,
            steps=decision.steps,
            domains=decision.domains or None,
            expert=decision.expert,
            question=self._question,
        )
        return decision

    def noted(self, event: AnswerEvent) -> AnswerEvent:
        """Return the event; the line is there before its reader knows that the answer ended."""
        if isinstance(event, DoneEvent):
            self._write(event)
        return event

    def _write(self, done: DoneEvent | None) -> None:
        entry, self._entry = self._entry, None
        if entry is None:
            return
        if self._meter is not None:
            entry = replace(entry, cost=self._meter.usage())
        if done is not None:
            entry = replace(
                entry,
                finish_reason=done.finish_reason,
                support=done.support,
                p_sufficient=done.p_sufficient,
                from_documents=done.from_documents,
            )
        self._audit.write(entry)


def _without_wording(signals: Mapping[str, float]) -> dict[str, float]:
    """Leave out what counts the letters and words of a text: together they are its print."""
    return {name: value for name, value in signals.items() if not name.startswith(WORDING)}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _unusable(message: str) -> InvalidArgument:
    return InvalidArgument(
        f"audit.path: {message}", reason="INVALID_CONFIG", metadata={"field": "audit.path"}
    )
