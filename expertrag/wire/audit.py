"""Messages of ``audit.proto``."""

from __future__ import annotations

from expertrag.api.decisions import (
    BASIS,
    Changes,
    CountExpertsRequest,
    ExpertCount,
    ExpertCounts,
    ListQuestionsRequest,
    LoggedQuestion,
    LoggedQuestions,
    Replay,
    ReplayOutcome,
    ReplayRequest,
)
from expertrag.v1 import audit_pb2
from expertrag.wire.common import fits_the_wire, message_of, value_of
from expertrag.wire.gate import ACTIONS


def replay_to_proto(request: ReplayRequest) -> audit_pb2.ReplayRequest:
    """Return the message."""
    with fits_the_wire():
        return message_of(audit_pb2.ReplayRequest, request)


def replay_from_proto(request: audit_pb2.ReplayRequest) -> ReplayRequest:
    """Return the value."""
    return value_of(ReplayRequest, request)


def replay_result_to_proto(replay: Replay) -> audit_pb2.ReplayResponse:
    """Return the response."""
    names = ("policy", "threshold", "gates", "rated", "forced", "unjudged", "torn", "histogram")
    return audit_pb2.ReplayResponse(
        **{name: getattr(replay, name) for name in names},
        logged=message_of(audit_pb2.ReplayOutcome, replay.logged),
        replayed=message_of(audit_pb2.ReplayOutcome, replay.replayed),
        changed=message_of(audit_pb2.ReplayChanges, replay.changed),
    )


def replay_result_from_proto(response: audit_pb2.ReplayResponse) -> Replay:
    """Return the value."""
    return value_of(
        Replay,
        response,
        logged=value_of(ReplayOutcome, response.logged),
        replayed=value_of(ReplayOutcome, response.replayed),
        changed=value_of(Changes, response.changed),
        basis=BASIS,
    )


def list_questions_to_proto(request: ListQuestionsRequest) -> audit_pb2.ListQuestionsRequest:
    """Return the message."""
    with fits_the_wire():
        return message_of(audit_pb2.ListQuestionsRequest, request)


def list_questions_from_proto(request: audit_pb2.ListQuestionsRequest) -> ListQuestionsRequest:
    """Return the value."""
    return value_of(ListQuestionsRequest, request)


def questions_to_proto(result: LoggedQuestions) -> audit_pb2.ListQuestionsResponse:
    """Return the response."""
    questions = [
        message_of(audit_pb2.LoggedQuestion, item, action=ACTIONS.to_proto(item.action))
        for item in result.questions
    ]
    return message_of(audit_pb2.ListQuestionsResponse, result, questions=questions)


def questions_from_proto(response: audit_pb2.ListQuestionsResponse) -> LoggedQuestions:
    """Return the value."""
    questions = tuple(
        value_of(LoggedQuestion, item, action=ACTIONS.from_proto(item.action))
        for item in response.questions
    )
    return value_of(LoggedQuestions, response, questions=questions)


def experts_to_proto(request: CountExpertsRequest) -> audit_pb2.CountExpertsRequest:
    """Return the message."""
    with fits_the_wire():
        return message_of(audit_pb2.CountExpertsRequest, request)


def experts_from_proto(request: audit_pb2.CountExpertsRequest) -> CountExpertsRequest:
    """Return the value."""
    return value_of(CountExpertsRequest, request)


def counts_to_proto(result: ExpertCounts) -> audit_pb2.CountExpertsResponse:
    """Return the response."""
    counts = [message_of(audit_pb2.ExpertCount, item) for item in result.counts]
    return message_of(audit_pb2.CountExpertsResponse, result, counts=counts)


def counts_from_proto(response: audit_pb2.CountExpertsResponse) -> ExpertCounts:
    """Return the value."""
    counts = tuple(value_of(ExpertCount, item) for item in response.counts)
    return value_of(ExpertCounts, response, counts=counts)
