"""What the audit log of a collection tells about the decisions of the gate."""

from __future__ import annotations

from expertrag.api.decisions import (
    CountExpertsRequest,
    ExpertCounts,
    ListQuestionsRequest,
    LoggedQuestions,
    Replay,
    ReplayRequest,
)
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.runtime import Runtime
from expertrag.serving.core.workers import CallKind


async def replay(runtime: Runtime, context: CallContext, request: ReplayRequest) -> Replay:
    """Replay the decisions under another threshold."""
    return await runtime.run(
        CallKind.AUDIT, context, lambda pipeline, _: pipeline.log.replay(request)
    )


async def list_questions(
    runtime: Runtime, context: CallContext, request: ListQuestionsRequest
) -> LoggedQuestions:
    """Return questions of the log to label."""
    return await runtime.run(
        CallKind.AUDIT, context, lambda pipeline, _: pipeline.log.questions(request)
    )


async def count_experts(
    runtime: Runtime, context: CallContext, request: CountExpertsRequest
) -> ExpertCounts:
    """Count the decisions by domain, expert and time."""
    return await runtime.run(
        CallKind.AUDIT, context, lambda pipeline, _: pipeline.log.experts(request)
    )
