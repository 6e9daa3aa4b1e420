"""Messages of the events of ``StreamAnswer``."""

from __future__ import annotations

from expertrag.api.errors import ServerError
from expertrag.api.types import (
    AnswerEvent,
    Citation,
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    GateEvent,
    PassagesEvent,
    UsageEvent,
)
from expertrag.v1 import answer_pb2
from expertrag.v1.answer_pb2 import StreamAnswerResponse
from expertrag.wire.answer import (
    FINISH_REASONS,
    logprob_from_proto,
    logprob_to_proto,
    usage_from_proto,
    usage_to_proto,
)
from expertrag.wire.common import message_of, value_of
from expertrag.wire.gate import decision_from_proto, decision_to_proto
from expertrag.wire.retrieve import passage_from_proto, passage_to_proto


def event_to_proto(seq: int, event: AnswerEvent) -> StreamAnswerResponse:
    """Return the message; ``seq`` counts from 0."""
    match event:
        case GateEvent():
            return StreamAnswerResponse(seq=seq, gate=decision_to_proto(event.decision))
        case PassagesEvent():
            passages = answer_pb2.Passages(
                passages=map(passage_to_proto, event.passages), generation=event.generation
            )
            return StreamAnswerResponse(seq=seq, passages=passages)
        case DeltaEvent():
            logprobs = map(logprob_to_proto, event.logprobs)
            delta = answer_pb2.Delta(text=event.text, logprobs=logprobs)
            return StreamAnswerResponse(seq=seq, delta=delta)
        case CitationEvent():
            citation = message_of(answer_pb2.Citation, event.citation)
            return StreamAnswerResponse(seq=seq, citation=citation)
        case UsageEvent():
            return StreamAnswerResponse(seq=seq, usage=usage_to_proto(event.usage))
        case DoneEvent():
            reason = FINISH_REASONS.to_proto(event.finish_reason)
            done = message_of(answer_pb2.Done, event, finish_reason=reason)
            return StreamAnswerResponse(seq=seq, done=done)


def event_from_proto(response: StreamAnswerResponse) -> AnswerEvent:
    """Return the event.

    :raises ServerError: if this version does not know the kind of event.
    """
    match response.WhichOneof("event"):
        case "gate":
            return GateEvent(decision_from_proto(response.gate))
        case "passages":
            message = response.passages
            return PassagesEvent(
                tuple(map(passage_from_proto, message.passages)), message.generation
            )
        case "delta":
            logprobs = tuple(map(logprob_from_proto, response.delta.logprobs))
            return DeltaEvent(response.delta.text, logprobs)
        case "citation":
            return CitationEvent(value_of(Citation, response.citation))
        case "usage":
            return UsageEvent(usage_from_proto(response.usage))
        case "done":
            reason = FINISH_REASONS.from_proto(response.done.finish_reason)
            return value_of(DoneEvent, response.done, finish_reason=reason)
        case _:
            raise ServerError(
                "the server sent an unknown event; upgrade the client", reason="UNKNOWN_EVENT"
            )
