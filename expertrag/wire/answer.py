"""Messages of ``answer.proto``: the question, its parts and the whole answer."""

from __future__ import annotations

from expertrag.api.types import (
    STAGES,
    Answer,
    AnswerRequest,
    Citation,
    Constraint,
    FinishReason,
    Sampling,
    TokenLogprob,
    TopLogprob,
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
from expertrag.wire.gate import (
    decision_from_proto,
    decision_to_proto,
    policy_from_proto,
    policy_to_proto,
)
from expertrag.wire.retrieve import passage_from_proto, passage_to_proto

FINISH_REASONS = EnumMap(
    "finish_reason",
    {
        FinishReason.STOP: answer_pb2.FINISH_REASON_STOP,
        FinishReason.LENGTH: answer_pb2.FINISH_REASON_LENGTH,
        FinishReason.ABSTAINED: answer_pb2.FINISH_REASON_ABSTAINED,
    },
)
DEFAULTS = AnswerRequest(question="")


def question_to_proto(request: AnswerRequest) -> answer_pb2.Question:
    """Return the message."""
    sampling = request.sampling
    with fits_the_wire():
        return answer_pb2.Question(
            text=request.question,
            policy=policy_to_proto(request.mode, request.threshold),
            k=request.k,
            filter=struct_to_proto("filter", request.filter),
            domain=request.domain,
            sampling=answer_pb2.Sampling(
                max_tokens=sampling.max_tokens,
                temperature=sampling.temperature,
                seed=sampling.seed,
                stop=sampling.stop,
                frequency_penalty=sampling.frequency_penalty,
                constraint=_constraint_to_proto(sampling.constraint),
                logprobs=sampling.logprobs,
            ),
            steps=request.steps,
        )


def question_from_proto(question: answer_pb2.Question) -> AnswerRequest:
    """Return the value."""
    mode, threshold = policy_from_proto(question.policy)
    return AnswerRequest(
        question=question.text,
        mode=mode,
        k=question.k if question.HasField("k") else DEFAULTS.k,
        filter=struct_from_proto(question.filter),
        domain=question.domain if question.HasField("domain") else None,
        threshold=threshold,
        sampling=_sampling_from_proto(question.sampling),
        steps=question.steps if question.HasField("steps") else DEFAULTS.steps,
    )


def citation_to_proto(citation: Citation) -> answer_pb2.Citation:
    """Return the message."""
    return message_of(answer_pb2.Citation, citation)


def citation_from_proto(citation: answer_pb2.Citation) -> Citation:
    """Return the value."""
    return value_of(Citation, citation)


def logprob_to_proto(token: TokenLogprob) -> answer_pb2.TokenLogprob:
    """Return the message."""
    top = [answer_pb2.TopLogprob(text=other.text, logprob=other.logprob) for other in token.top]
    return answer_pb2.TokenLogprob(text=token.text, logprob=token.logprob, top=top)


def logprob_from_proto(token: answer_pb2.TokenLogprob) -> TokenLogprob:
    """Return the value."""
    top = tuple(TopLogprob(other.text, other.logprob) for other in token.top)
    return TokenLogprob(token.text, token.logprob, top)


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
        citations=map(citation_to_proto, answer.citations),
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
        citations=tuple(map(citation_from_proto, response.citations)),
        usage=usage_from_proto(response.usage),
        finish_reason=FINISH_REASONS.from_proto(response.finish_reason),
        logprobs=tuple(map(logprob_from_proto, response.logprobs)),
    )


def _by_stage(item: tuple[str, float]) -> tuple[int, str]:
    """Sort by execution order; unknown stages of a newer server come last, by name."""
    stage, _ = item
    return (STAGES.index(stage) if stage in STAGES else len(STAGES), stage)


def _sampling_from_proto(sampling: answer_pb2.Sampling) -> Sampling:
    default = DEFAULTS.sampling
    has = sampling.HasField
    return Sampling(
        max_tokens=sampling.max_tokens if has("max_tokens") else default.max_tokens,
        temperature=sampling.temperature if has("temperature") else default.temperature,
        seed=sampling.seed if has("seed") else default.seed,
        stop=tuple(sampling.stop),
        frequency_penalty=(
            sampling.frequency_penalty if has("frequency_penalty") else default.frequency_penalty
        ),
        constraint=_constraint_from_proto(sampling.constraint) if has("constraint") else None,
        logprobs=sampling.logprobs if has("logprobs") else None,
    )


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
