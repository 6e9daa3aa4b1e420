"""Answers, decisions of the gate, and feedback on them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from expertrag.answer.collections import DEFAULT
from expertrag.api.events import AnswerEvent, GateEvent
from expertrag.api.folding import afold
from expertrag.api.types import (
    Answer,
    AnswerRequest,
    DecideRequest,
    Feedback,
    GateDecision,
)
from expertrag.runtime.stop import Stop
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.cost import Cost
from expertrag.serving.core.runtime import Runtime, key_of
from expertrag.serving.core.workers import CallKind


async def answer(runtime: Runtime, context: CallContext, request: AnswerRequest) -> Answer:
    """Return a whole answer."""
    async with aclosing(stream_answer(runtime, context, request)) as events:
        return await afold(events)


async def stream_answer(
    runtime: Runtime, context: CallContext, request: AnswerRequest
) -> AsyncGenerator[AnswerEvent]:
    """Yield the events of an answer; closing the iterator ends the work."""
    opened = runtime.opener(context)

    def work(stop: Stop) -> Iterator[AnswerEvent]:
        with opened() as pipeline:
            yield from pipeline.answer(request, stop)

    cost = Cost(request.question, request.history)
    default = key_of(context) == DEFAULT
    runtime.quotas.check(context.caller, "tokens")
    try:
        running = runtime.workers.stream(CallKind.ANSWER, context, work)
        async with aclosing(running) as events:
            async for event in events:
                context.note(event)
                runtime.metrics.observe(event, default=default)
                cost.note(event)
                yield event
    finally:
        runtime.quotas.charge(context.caller, "tokens", cost.tokens)


async def decide(runtime: Runtime, context: CallContext, request: DecideRequest) -> GateDecision:
    """Return the gate's decision, without an answer."""
    cost = Cost(request.question, request.history)
    runtime.quotas.check(context.caller, "tokens")
    decision = await runtime.run(
        CallKind.GATE,
        context,
        lambda pipeline, stop: pipeline.decide(
            request.question,
            request.mode,
            threshold=request.threshold,
            domain=request.domain,
            history=request.history,
            should_stop=stop,
        ),
    )
    event = GateEvent(decision)
    context.note(event)
    cost.note(event)
    runtime.quotas.charge(context.caller, "tokens", cost.tokens)
    runtime.metrics.observe(event)
    return decision


async def report_feedback(runtime: Runtime, context: CallContext, feedback: Feedback) -> None:
    """Store feedback on an answer."""
    audit, caller = runtime.collections.audit, context.caller.identity
    await runtime.workers.run(
        CallKind.FEEDBACK, context, lambda stop: audit.feedback(feedback, caller)
    )
