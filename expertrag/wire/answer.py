"""Messages of ``answer.proto``: the question, its parts and the whole answer."""

from __future__ import annotations

from expertrag.api.types import STAGES, Answer, AnswerRequest, Constraint, Sampling, Usage
from expertrag.api.validation import check_constraint, schema_from_text, schema_to_text
from expertrag.v1 import answer_pb2
from expertrag.wire.common import fits_the_wire, message_of, value_of
from expertrag.wire.gate import policy_from_proto, policy_to_proto
from expertrag.wire.tables import table_from_proto, table_to_proto


def question_to_proto(request: AnswerRequest) -> answer_pb2.Question:
    """Return the message."""
    with fits_the_wire():
        return message_of(
            answer_pb2.Question,
            request,
            text=request.question,
            policy=policy_to_proto(request.mode, request.threshold),
            sampling=_sampling_to_proto(request.sampling),
        )


def question_from_proto(question: answer_pb2.Question) -> AnswerRequest:
    """Return the value."""
    mode, threshold = policy_from_proto(question.policy)
    return value_of(
        AnswerRequest,
        question,
        question=question.text,
        mode=mode,
        threshold=threshold,
        sampling=_sampling_from_proto(question.sampling),
    )


def usage_from_proto(usage: answer_pb2.Usage) -> Usage:
    """Return the value, with the stages in execution order, which the message loses."""
    stages = sorted(usage.stage_seconds.items(), key=_by_stage)
    return value_of(Usage, usage, stage_seconds=dict(stages))


def answer_to_proto(answer: Answer) -> answer_pb2.AnswerResponse:
    """Return the message."""
    table = None if answer.table is None else table_to_proto(answer.table)
    return message_of(answer_pb2.AnswerResponse, answer, table=table)


def answer_from_proto(response: answer_pb2.AnswerResponse) -> Answer:
    """Return the value."""
    table = table_from_proto(response.table) if response.HasField("table") else None
    return value_of(Answer, response, usage=usage_from_proto(response.usage), table=table)


def _by_stage(item: tuple[str, float]) -> tuple[int, str]:
    """Sort by execution order; unknown stages of a newer server come last, by name."""
    stage, _ = item
    return (STAGES.index(stage) if stage in STAGES else len(STAGES), stage)


def _sampling_to_proto(sampling: Sampling) -> answer_pb2.Sampling:
    constraint = _constraint_to_proto(sampling.constraint)
    return message_of(answer_pb2.Sampling, sampling, constraint=constraint)


def _sampling_from_proto(sampling: answer_pb2.Sampling) -> Sampling:
    constraint = None
    if sampling.HasField("constraint"):
        constraint = _constraint_from_proto(sampling.constraint)
    return value_of(Sampling, sampling, constraint=constraint)


def _constraint_to_proto(constraint: Constraint | None) -> answer_pb2.Constraint | None:
    if constraint is None:
        return None
    check_constraint(constraint)  # the oneof would silently keep one of several
    schema, choices = constraint.json_schema, constraint.choices
    return answer_pb2.Constraint(
        regex=constraint.regex,
        json_schema=None if schema is None else schema_to_text(schema),
        choices=None if choices is None else answer_pb2.Choices(values=choices),
        grammar=constraint.grammar,
    )


def _constraint_from_proto(constraint: answer_pb2.Constraint) -> Constraint:
    match constraint.WhichOneof("kind"):
        case "regex":
            return Constraint(regex=constraint.regex)
        case "json_schema":
            return Constraint(json_schema=schema_from_text(constraint.json_schema))
        case "choices":
            return Constraint(choices=tuple(constraint.choices.values))
        case "grammar":
            return Constraint(grammar=constraint.grammar)
        case _:
            return Constraint()
