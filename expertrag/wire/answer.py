"""Messages of ``answer.proto``: the question, its parts and the whole answer."""

from __future__ import annotations

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.api.logprobs import TokenLogprob, TopLogprob
from expertrag.api.types import (
    STAGES,
    Answer,
    AnswerRequest,
    Citation,
    Constraint,
    FinishReason,
    Sampling,
    Usage,
)
from expertrag.api.validation import check_constraint, schema_from_text, schema_to_text
from expertrag.v1 import answer_pb2
from expertrag.wire.common import (
    EnumMap,
    fits_the_wire,
    message_of,
    struct_from_proto,
    struct_to_proto,
    value_of,
)
from expertrag.wire.conversation import history_from_proto, history_to_proto
from expertrag.wire.gate import (
    decision_from_proto,
    decision_to_proto,
    policy_from_proto,
    policy_to_proto,
)
from expertrag.wire.retrieve import RERANK_MODES, passage_from_proto, passage_to_proto

FINISH_REASONS = EnumMap(
    "finish_reason",
    {
        FinishReason.STOP: answer_pb2.FINISH_REASON_STOP,
        FinishReason.LENGTH: answer_pb2.FINISH_REASON_LENGTH,
        FinishReason.ABSTAINED: answer_pb2.FINISH_REASON_ABSTAINED,
    },
)

WEAK_SIDES = EnumMap(
    "contrast.weak",
    {
        WeakSide.ROUTING: answer_pb2.WEAK_SIDE_ROUTING,
        WeakSide.NO_PASSAGES: answer_pb2.WEAK_SIDE_NO_PASSAGES,
        WeakSide.BASE: answer_pb2.WEAK_SIDE_BASE,
    },
)


def question_to_proto(request: AnswerRequest) -> answer_pb2.Question:
    """Return the message."""
    with fits_the_wire():
        return answer_pb2.Question(
            text=request.question,
            policy=policy_to_proto(request.mode, request.threshold),
            k=request.k,
            filter=struct_to_proto("filter", request.filter),
            domain=request.domain,
            sampling=_sampling_to_proto(request.sampling),
            steps=request.steps,
            history=history_to_proto(request.history),
            rerank=RERANK_MODES.to_proto(request.rerank),
            instructions=request.instructions,
        )


def question_from_proto(question: answer_pb2.Question) -> AnswerRequest:
    """Return the value."""
    mode, threshold = policy_from_proto(question.policy)
    return value_of(
        AnswerRequest,
        question,
        question=question.text,
        mode=mode,
        filter=struct_from_proto(question.filter),
        threshold=threshold,
        sampling=_sampling_from_proto(question.sampling),
        history=history_from_proto(question.history),
        rerank=RERANK_MODES.from_proto(question.rerank),
    )


def logprob_to_proto(token: TokenLogprob) -> answer_pb2.TokenLogprob:
    """Return the message."""
    top = [message_of(answer_pb2.TopLogprob, other) for other in token.top]
    return message_of(answer_pb2.TokenLogprob, token, top=top)


def logprob_from_proto(token: answer_pb2.TokenLogprob) -> TokenLogprob:
    """Return the value."""
    top = tuple(value_of(TopLogprob, other) for other in token.top)
    return value_of(TokenLogprob, token, top=top)


def usage_to_proto(usage: Usage) -> answer_pb2.Usage:
    """Return the message."""
    return message_of(answer_pb2.Usage, usage)


def usage_from_proto(usage: answer_pb2.Usage) -> Usage:
    """Return the value, with the stages in execution order, which the message loses."""
    stages = sorted(usage.stage_seconds.items(), key=_by_stage)
    return value_of(Usage, usage, stage_seconds=dict(stages))


def answer_to_proto(answer: Answer) -> answer_pb2.AnswerResponse:
    """Return the message."""
    return message_of(
        answer_pb2.AnswerResponse,
        answer,
        decision=decision_to_proto(answer.decision),
        passages=map(passage_to_proto, answer.passages),
        citations=[message_of(answer_pb2.Citation, item) for item in answer.citations],
        usage=usage_to_proto(answer.usage),
        finish_reason=FINISH_REASONS.to_proto(answer.finish_reason),
        logprobs=map(logprob_to_proto, answer.logprobs),
    )


def answer_from_proto(response: answer_pb2.AnswerResponse) -> Answer:
    """Return the value."""
    return value_of(
        Answer,
        response,
        decision=decision_from_proto(response.decision),
        passages=tuple(map(passage_from_proto, response.passages)),
        citations=tuple(value_of(Citation, item) for item in response.citations),
        usage=usage_from_proto(response.usage),
        finish_reason=FINISH_REASONS.from_proto(response.finish_reason),
        logprobs=tuple(map(logprob_from_proto, response.logprobs)),
    )


def _by_stage(item: tuple[str, float]) -> tuple[int, str]:
    """Sort by execution order; unknown stages of a newer server come last, by name."""
    stage, _ = item
    return (STAGES.index(stage) if stage in STAGES else len(STAGES), stage)


def _sampling_to_proto(sampling: Sampling) -> answer_pb2.Sampling:
    contrast = sampling.contrast
    weak = contrast and message_of(
        answer_pb2.Contrast, contrast, weak=WEAK_SIDES.to_proto(contrast.weak)
    )
    constraint = _constraint_to_proto(sampling.constraint)
    return message_of(answer_pb2.Sampling, sampling, constraint=constraint, contrast=weak)


def _sampling_from_proto(sampling: answer_pb2.Sampling) -> Sampling:
    constraint = contrast = None
    if sampling.HasField("constraint"):
        constraint = _constraint_from_proto(sampling.constraint)
    if sampling.HasField("contrast"):
        weak = WEAK_SIDES.from_proto(sampling.contrast.weak)
        contrast = value_of(Contrast, sampling.contrast, weak=weak)
    return value_of(Sampling, sampling, constraint=constraint, contrast=contrast)


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
