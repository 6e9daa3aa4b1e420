"""What a running server reports from its own log, for one collection."""

from __future__ import annotations

from dataclasses import replace

from expertrag.api.decisions import (
    CountExpertsRequest,
    ExpertCounts,
    ListQuestionsRequest,
    LoggedQuestion,
    LoggedQuestions,
    Replay,
    ReplayRequest,
)
from expertrag.api.errors import Conflict, NotFound
from expertrag.api.validation import invalid
from expertrag.audit.audit import Audit
from expertrag.audit.experts import count_experts
from expertrag.audit.questions import QuestionRecord, collect_corrected, same_question, to_label
from expertrag.audit.reading import Log, read_log
from expertrag.audit.replay import replay

LATEST = 10_000
"""Decisions that are read, the latest of the log."""
MOST_LISTED = 1_000
MOST_PERIODS = 200


class ServedLog:
    """The log of one collection."""

    def __init__(self, audit: Audit, collection: str) -> None:
        """Read from ``audit``; ``collection`` as entries name it, empty for the default one."""
        self._audit = audit
        self._collection = collection

    def replay(self, request: ReplayRequest) -> Replay:
        """Replay the decisions under another threshold.

        :raises InvalidArgument: the policy is invalid, or the log has no AUTO decision.
        :raises Conflict: no log is kept.
        :raises NotFound: nothing has been decided yet.
        """
        if (request.threshold is None) == (request.target_rate is None):
            raise invalid("threshold", "or target_rate is needed; set one of them")
        if request.threshold is not None:
            return replay(self._read(), f"threshold:{request.threshold}")
        return replay(self._read(), f"rate:{request.target_rate}")

    def questions(self, request: ListQuestionsRequest) -> LoggedQuestions:
        """List questions to label.

        Raises as ``replay`` does.
        """
        if not 1 <= request.limit <= MOST_LISTED:
            raise invalid("limit", f"is {request.limit}; choose from 1 to {MOST_LISTED:,}")
        log = self._read()
        known = {same_question(item.text) for item in collect_corrected(log)}
        waiting = [item for item in to_label(log) if same_question(item.text) not in known]
        return LoggedQuestions(
            tuple(map(_describe, waiting[: request.limit])), len(waiting), len(known)
        )

    def experts(self, request: CountExpertsRequest) -> ExpertCounts:
        """Count the decisions by expert, domain and time.

        Raises as ``replay`` does.
        """
        if not 1 <= request.periods <= MOST_PERIODS:
            raise invalid("periods", f"is {request.periods}; choose from 1 to {MOST_PERIODS}")
        return count_experts(self._read().entries, request.periods)

    def _read(self) -> Log:
        if self._audit.path is None:
            raise Conflict(
                "no audit log is kept here; start the server with --audit-path FILE, or set "
                "EXPERTRAG_AUDIT_PATH",
                reason="AUDIT_OFF",
            )
        nothing = NotFound(
            "no decision has been logged for this collection; ask questions first",
            reason="NO_DECISIONS",
        )
        if not self._audit.path.is_file() or not self._audit.path.stat().st_size:
            raise nothing
        log = read_log(self._audit.path, LATEST)
        entries = tuple(e for e in log.entries if (e.collection or "") == self._collection)
        if not entries:
            raise nothing
        known = {entry.id for entry in entries}
        feedback = {name: item for name, item in log.feedback.items() if name in known}
        return replace(log, entries=entries, feedback=feedback)


def _describe(item: QuestionRecord) -> LoggedQuestion:
    entry = item.entry
    assert entry is not None and entry.p_benefit is not None and entry.threshold is not None
    return LoggedQuestion(
        entry.id, item.text, entry.time, entry.p_benefit, entry.threshold, entry.action
    )
