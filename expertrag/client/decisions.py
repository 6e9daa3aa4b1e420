"""``client.decisions``: the gate's decisions in the audit log, on asyncio and blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expertrag.api.decisions import (
    CountExpertsRequest,
    ExpertCounts,
    ListQuestionsRequest,
    LoggedQuestions,
    Replay,
    ReplayRequest,
)
from expertrag.client.blocking import make_blocking
from expertrag.client.operations import COUNT_EXPERTS, LIST_QUESTIONS, REPLAY
from expertrag.client.requests import DEFAULT_TIMEOUT_S

if TYPE_CHECKING:
    from expertrag.client.local import LocalBackend
    from expertrag.client.remote import RemoteBackend

QUESTIONS = ListQuestionsRequest().limit
PERIODS = CountExpertsRequest().periods


class AsyncDecisions:
    """The decisions that a server has logged; of a long log, the latest 10,000.

    The methods raise ``PermissionDenied`` without the scope "admin", ``Conflict`` where no audit
    log is kept, and ``NotFound`` where nothing has been decided yet.
    """

    def __init__(self, backend: LocalBackend | RemoteBackend) -> None:
        self._backend = backend

    async def replay(
        self,
        *,
        threshold: float | None = None,
        target_rate: float | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> Replay:
        """Replay the decisions under another policy; give one of both.

        :param threshold: retrieve when the probability of benefit reaches it, in [0, 1].
        :param target_rate: retrieve for at most this share, in [0, 1].
        """
        request = ReplayRequest(threshold, target_rate)
        return await self._backend.call(REPLAY, request, timeout)

    async def questions(
        self, *, limit: int = QUESTIONS, timeout: float = DEFAULT_TIMEOUT_S
    ) -> LoggedQuestions:
        """List 1 to 1,000 questions to label, in random order.

        Questions with a correct answer from feedback are left out.
        """
        return await self._backend.call(LIST_QUESTIONS, ListQuestionsRequest(limit), timeout)

    async def experts(
        self, *, periods: int = PERIODS, timeout: float = DEFAULT_TIMEOUT_S
    ) -> ExpertCounts:
        """Count the decisions by domain, expert and time, in at most 1 to 200 periods."""
        return await self._backend.call(COUNT_EXPERTS, CountExpertsRequest(periods), timeout)


class Decisions:
    """The decisions that a server has logged; of a long log, the latest 10,000.

    The methods raise ``PermissionDenied`` without the scope "admin", ``Conflict`` where no audit
    log is kept, and ``NotFound`` where nothing has been decided yet.
    """

    def __init__(self, decisions: AsyncDecisions) -> None:
        self._core = decisions

    replay = make_blocking(AsyncDecisions.replay)
    questions = make_blocking(AsyncDecisions.questions)
    experts = make_blocking(AsyncDecisions.experts)
