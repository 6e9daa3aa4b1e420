"""AnswerService: a whole answer, or its events as a stream."""

from __future__ import annotations

from contextlib import aclosing

from expertrag.api.events import ProgressEvent, TableEvent
from expertrag.serving.core.operations.answering import answer, stream_answer
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import answer_pb2
from expertrag.v1.answer_pb2_grpc import AnswerServiceServicer
from expertrag.wire.answer import answer_to_proto, question_from_proto
from expertrag.wire.events import event_to_proto

_OF_TABLES = (ProgressEvent, TableEvent)
"""Events that a client made before them refuses, so that it must ask for them."""


class AnswerService(Servicer, AnswerServiceServicer):
    """Answers questions."""

    async def Answer(
        self, request: answer_pb2.AnswerRequest, context: Context
    ) -> answer_pb2.AnswerResponse:
        """Answer in one message."""
        question = question_from_proto(request.question)
        result = await answer(self._runtime, call_of(request.collection), question)
        return answer_to_proto(result)

    async def StreamAnswer(self, request: answer_pb2.StreamAnswerRequest, context: Context) -> None:
        """Write the events; a cancelled call raises at the write, which closes the answer."""
        seq, question = 0, question_from_proto(request.question)
        running = stream_answer(self._runtime, call_of(request.collection), question)
        async with aclosing(running) as events:
            async for event in events:
                if isinstance(event, _OF_TABLES) and not request.with_tables:
                    continue
                await context.write(event_to_proto(seq, event))
                seq += 1
