"""The audit log of one pipeline: every decision gets an id and, if a log is kept, a line."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.api.errors import Conflict, InvalidArgument, NotFound, Unavailable
from expertrag.api.events import DoneEvent, TableEvent
from expertrag.api.types import Feedback, GateDecision
from expertrag.api.validation import check_feedback
from expertrag.audit.answer_ids import AnswerIds
from expertrag.audit.append import Appender
from expertrag.audit.entries import AuditEntry, dump_entry, dump_feedback
from expertrag.config import AuditConfig

if TYPE_CHECKING:
    from expertrag.runtime.meter import Meter

FEEDBACK = "feedback.jsonl"
"""Feedback file, in the folder of the log."""
WORDING = ("question_", "draft_")
"""Prefixes of signals that describe a text's wording (``gate/question.py``, ``gate/draft.py``)."""

# Not structlog: in-process clients use this too, and unconfigured structlog prints to stdout.
_log = logging.getLogger("expertrag.audit")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked a question, and in which collection; empty in process, and without tokens."""

    caller: str = ""
    collection: str = ""


NOBODY = Asker()


class Audit:
    """Stores decisions and feedback; without a path, discards decisions. Thread-safe."""

    def __init__(self, path: Path | None = None, *, texts: bool = False) -> None:
        """Log to ``path``, created at the first decision; feedback goes next to it.

        :param texts: also log the questions.
        """
        self.path = path
        self._texts = texts
        self._ids = AnswerIds(path)
        self._decisions = Appender(path) if path else None
        self._feedback = Appender(path.with_name(FEEDBACK)) if path else None
        self._lock = threading.Lock()
        self._lost = 0  # lines since the last successful write

    @classmethod
    def of(cls, config: AuditConfig) -> Audit:
        """Return the configured log.

        :raises InvalidArgument: if its file cannot be written, or the key next to it is damaged.
        """
        if not config.path:
            return cls()
        path = Path(config.path)
        if path.name == FEEDBACK:
            raise _unusable(f"is {path}, the name of the feedback file; choose another name")
        audit = cls(path, texts=config.texts)
        assert audit._decisions is not None, "there is a path"
        try:
            audit._decisions.check()
        except OSError as error:
            raise _unusable(
                f"{path} cannot be written ({error.strerror}); choose a writable file"
            ) from None
        audit._ids.check()
        return audit

    def answering(
        self,
        question: str,
        generation: int,
        meter: Meter | None = None,
        *,
        asked_by: Asker = NOBODY,
    ) -> Entry:
        """Begin an entry; use it as a context manager around the work.

        :param generation: served generation of the store.
        :param meter: meter of the answer; None for a decision without an answer.
        """
        return Entry(self, question, generation, meter, asked_by)

    def new_id(self, caller: str) -> str:
        """Return the id of a new answer to a caller."""
        return self._ids.new(caller)

    def feedback(self, feedback: Feedback, caller: str = "") -> None:
        """Store feedback on an answer durably: after this returns, it survives a power failure.

        :param caller: who reports. Only the caller that got the answer may; empty for anyone.
        :raises InvalidArgument: if a field is invalid; names the field.
        :raises NotFound: if the caller got no such answer.
        :raises Conflict: if no log is kept.
        :raises Unavailable: if it cannot be written.
        """
        check_feedback(feedback)
        if self._feedback is None:
            raise Conflict(
                "no audit log is kept here, so feedback cannot be stored; "
                "start the server with --audit-path FILE, or set EXPERTRAG_AUDIT_PATH",
                reason="AUDIT_OFF",
            )
        if caller and not self._ids.belongs(feedback.answer_id, caller):
            raise NotFound(
                f"no answer {feedback.answer_id} was given to this caller",
                reason="ANSWER_NOT_FOUND",
            )
        try:
            self._feedback.append(dump_feedback(feedback, _now()), durably=True)
        except OSError as error:
            raise Unavailable(
                f"the feedback could not be stored ({error.strerror}); "
                "free some space next to the audit log and send it again",
                reason="STORAGE_FULL",
            ) from error

    @property
    def problem(self) -> str:
        """Why decisions cannot be logged at the moment; empty if logging works or is off."""
        return f"{self._lost} decisions could not be written" if self._lost else ""

    def close(self) -> None:
        """Close the files."""
        for appender in (self._decisions, self._feedback):
            if appender is not None:
                appender.close()

    def write(self, entry: AuditEntry) -> None:
        """Append an entry. A failure is logged once, until a write succeeds again."""
        if self._decisions is None:
            return
        if not self._texts:
            entry = _without_texts(entry)
        try:
            self._decisions.append(dump_entry(entry))
        # No error of the log may fail an answer.
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
            _log.warning("audit log not written (%s); answers continue without it", reason)

    def _tell_recovery(self) -> None:
        if not self._lost:
            return
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            _log.warning("audit log written again; %d decisions are missing", lost)


class Entry:
    """The entry of one call, written when the call ends, however it ends."""

    def __init__(
        self,
        audit: Audit,
        question: str,
        generation: int,
        meter: Meter | None,
        asked_by: Asker,
    ) -> None:
        self._audit = audit
        self._asked_by = asked_by
        self._question = question
        self._generation = generation
        self._meter = meter
        self._entry: AuditEntry | None = None

    def __enter__(self) -> Entry:
        return self

    def __exit__(self, *_: object) -> None:
        self._write(None)

    def record_decision(self, decision: GateDecision) -> GateDecision:
        """Return the decision with an id, and keep it for the line of the call."""
        decision = replace(decision, id=self._audit.new_id(self._asked_by.caller))
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
            domains=decision.domains or None,
            expert=decision.expert,
            pattern=decision.pattern,
            question=self._question,
            rewritten_question=decision.rewritten_question or None,
            caller=self._asked_by.caller or None,
            collection=self._asked_by.collection or None,
            scope=decision.scope,
        )
        return decision

    def record_table(self, counted: TableEvent) -> None:
        """Keep for the line of the call how its rows were counted, and from what."""
        if self._entry is not None:
            query = counted.table.query or None
            self._entry = replace(self._entry, query=query, coverage=counted.coverage)

    def finish(self, done: DoneEvent) -> None:
        """Write the line, before the client sees the end of the answer."""
        self._write(done)

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


def _without_texts(entry: AuditEntry) -> AuditEntry:
    """Return an entry without texts of the question, and without what gives them away."""
    # counts of a text's letters and words together fingerprint it
    signals = {k: v for k, v in entry.signals.items() if not k.startswith(WORDING)}
    coverage = entry.coverage and replace(entry.coverage, reason="")
    return replace(
        entry,
        question=None,
        rewritten_question=None,
        signals=signals,
        query=None,
        coverage=coverage,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _unusable(message: str) -> InvalidArgument:
    return InvalidArgument(
        f"audit.path: {message}", reason="INVALID_CONFIG", metadata={"field": "audit.path"}
    )
