"""AnswerService: a whole answer, or its events as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from expertrag.answer.collections import DEFAULT
from expertrag.api.folding import afold
from expertrag.api.types import AnswerEvent
from expertrag.runtime.stop import Stop
from expertrag.serving.core.call import CALL
from expertrag.serving.core.cost import Cost
from expertrag.serving.core.runtime import Servicer, key_of
from expertrag.serving.core.workers import CallKind, Context
from expertrag.v1 import answer_pb2
from expertrag.v1.answer_pb2_grpc import AnswerServiceServicer
from expertrag.wire.answer import answer_to_proto, question_from_proto
from expertrag.wire.events import event_to_proto


class AnswerService(Servicer, AnswerServiceServicer):
    """Answers questions."""

    async def Answer(
        self, request: answer_pb2.AnswerRequest, context: Context
    ) -> answer_pb2.AnswerResponse:
        """Answer in one message."""
        async with aclosing(self._events(request, context)) as events:
            return answer_to_proto(await afold(events))

    async def StreamAnswer(self, request: answer_pb2.StreamAnswerRequest, context: Context) -> None:
        """Write the events; a cancelled call raises at the write, which closes the answer."""
        seq = 0
        async with aclosing(self._events(request, context)) as events:
            async for event in events:
                await context.write(event_to_proto(seq, event))
                seq += 1

    async def _events(
        self, asked: answer_pb2.AnswerRequest | answer_pb2.StreamAnswerRequest, context: Context
    ) -> AsyncGenerator[AnswerEvent]:
        opened = self._runtime.opener(asked.collection)
        request = question_from_proto(asked.question)

        def work(stop: Stop) -> Iterator[AnswerEvent]:
            with opened() as pipeline:
                yield from pipeline.answer(request, stop)

        call, cost = CALL.get(), Cost(request.question, request.history)
        default = key_of(asked.collection, call.caller) == DEFAULT
        self._runtime.quotas.check(call.caller, "tokens")
        try:
            running = self._runtime.workers.stream(CallKind.ANSWER, context, work)
            async with aclosing(running) as events:
                async for event in events:
                    call.note(event)
                    self._runtime.metrics.observe(event, default=default)
                    cost.note(event)
                    yield event
        finally:
            self._runtime.quotas.charge(call.caller, "tokens", cost.tokens)
