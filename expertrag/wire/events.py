"""Messages of the events of ``StreamAnswer``."""

from __future__ import annotations

from expertrag.api.errors import ServerError
from expertrag.api.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    GateEvent,
    PassagesEvent,
    ProgressEvent,
    TableEvent,
    UsageEvent,
)
from expertrag.api.types import Citation, GateDecision
from expertrag.v1 import answer_pb2, gate_pb2
from expertrag.v1.answer_pb2 import StreamAnswerResponse
from expertrag.wire.answer import usage_from_proto
from expertrag.wire.common import message_of, value_of
from expertrag.wire.tables import table_from_proto, table_to_proto


def event_to_proto(seq: int, event: AnswerEvent) -> StreamAnswerResponse:
    """Return the message; ``seq`` counts from 0."""
    match event:
        case GateEvent():
            decision = message_of(gate_pb2.GateDecision, event.decision)
            return StreamAnswerResponse(seq=seq, gate=decision)
        case ProgressEvent():
            return StreamAnswerResponse(seq=seq, progress=message_of(answer_pb2.Progress, event))
        case PassagesEvent():
            passages = message_of(answer_pb2.Passages, event)
            return StreamAnswerResponse(seq=seq, passages=passages)
        case TableEvent():
            table = table_to_proto(event.table)
            counted = message_of(answer_pb2.TableEvent, event, table=table)
            return StreamAnswerResponse(seq=seq, table=counted)
        case DeltaEvent():
            return StreamAnswerResponse(seq=seq, delta=message_of(answer_pb2.Delta, event))
        case CitationEvent():
            citation = message_of(answer_pb2.Citation, event.citation)
            return StreamAnswerResponse(seq=seq, citation=citation)
        case UsageEvent():
            return StreamAnswerResponse(seq=seq, usage=message_of(answer_pb2.Usage, event.usage))
        case DoneEvent():
            return StreamAnswerResponse(seq=seq, done=message_of(answer_pb2.Done, event))


def event_from_proto(response: StreamAnswerResponse) -> AnswerEvent:
    """Return the event.

    :raises ServerError: if this version does not know the kind of event.
    """
    match response.WhichOneof("event"):
        case "gate":
            return GateEvent(value_of(GateDecision, response.gate))
        case "progress":
            return value_of(ProgressEvent, response.progress)
        case "passages":
            return value_of(PassagesEvent, response.passages)
        case "table":
            table = table_from_proto(response.table.table)
            return value_of(TableEvent, response.table, table=table)
        case "delta":
            return value_of(DeltaEvent, response.delta)
        case "citation":
            return CitationEvent(value_of(Citation, response.citation))
        case "usage":
            return UsageEvent(usage_from_proto(response.usage))
        case "done":
            return value_of(DoneEvent, response.done)
        case _:
            raise ServerError(
                "the server sent an unknown event; upgrade the client", reason="UNKNOWN_EVENT"
            )
