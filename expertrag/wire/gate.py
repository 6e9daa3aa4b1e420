"""Messages of ``gate.proto``."""

from __future__ import annotations

from expertrag.api.types import DecideRequest, Feedback, GateAction, GateDecision, GateMode
from expertrag.v1 import gate_pb2
from expertrag.wire.common import EnumMap, fits_the_wire

MODES = EnumMap(
    "mode",
    {
        GateMode.AUTO: gate_pb2.GATE_MODE_AUTO,
        GateMode.NEVER: gate_pb2.GATE_MODE_NEVER,
        GateMode.ALWAYS: gate_pb2.GATE_MODE_ALWAYS,
        GateMode.STRICT: gate_pb2.GATE_MODE_STRICT,
    },
    unset=GateMode.AUTO,
)
ACTIONS = EnumMap(
    "action",
    {
        GateAction.CLOSED_BOOK: gate_pb2.GATE_ACTION_CLOSED_BOOK,
        GateAction.RETRIEVE: gate_pb2.GATE_ACTION_RETRIEVE,
    },
)


def policy_to_proto(mode: GateMode, threshold: float | None) -> gate_pb2.GatePolicy:
    """Return the message of a policy."""
    with fits_the_wire():
        return gate_pb2.GatePolicy(mode=MODES.to_proto(mode), threshold=threshold)


def policy_from_proto(policy: gate_pb2.GatePolicy) -> tuple[GateMode, float | None]:
    """Return mode and threshold."""
    threshold = policy.threshold if policy.HasField("threshold") else None
    return MODES.from_proto(policy.mode), threshold


def decide_to_proto(request: DecideRequest) -> gate_pb2.DecideRequest:
    """Return the message."""
    policy = policy_to_proto(request.mode, request.threshold)
    with fits_the_wire():
        return gate_pb2.DecideRequest(query=request.question, policy=policy, domain=request.domain)


def decide_from_proto(request: gate_pb2.DecideRequest) -> DecideRequest:
    """Return the value."""
    mode, threshold = policy_from_proto(request.policy)
    domain = request.domain if request.HasField("domain") else None
    return DecideRequest(request.query, mode, threshold, domain)


def decision_to_proto(decision: GateDecision) -> gate_pb2.GateDecision:
    """Return the message."""
    return gate_pb2.GateDecision(
        action=ACTIONS.to_proto(decision.action),
        mode=MODES.to_proto(decision.mode),
        reason=decision.reason,
        p_benefit=decision.p_benefit,
        p_correct_closed_book=decision.p_correct_closed_book,
        threshold=decision.threshold,
        signals=dict(decision.signals),
        calibrator=decision.calibrator,
        p_correct_retrieval=decision.p_correct_retrieval,
        contributions=dict(decision.contributions),
        warnings=decision.warnings,
        id=decision.id,
        domains=dict(decision.domains),
        expert=decision.expert,
    )


def decision_from_proto(decision: gate_pb2.GateDecision) -> GateDecision:
    """Return the value."""
    has = decision.HasField
    return GateDecision(
        action=ACTIONS.from_proto(decision.action),
        mode=MODES.from_proto(decision.mode),
        reason=decision.reason,
        p_benefit=decision.p_benefit if has("p_benefit") else None,
        p_correct_closed_book=(
            decision.p_correct_closed_book if has("p_correct_closed_book") else None
        ),
        threshold=decision.threshold if has("threshold") else None,
        signals=dict(decision.signals),
        calibrator=decision.calibrator,
        p_correct_retrieval=decision.p_correct_retrieval if has("p_correct_retrieval") else None,
        contributions=dict(decision.contributions),
        warnings=tuple(decision.warnings),
        id=decision.id,
        domains=dict(decision.domains),
        expert=decision.expert if has("expert") else None,
    )


def feedback_to_proto(feedback: Feedback) -> gate_pb2.ReportFeedbackRequest:
    """Return the request."""
    with fits_the_wire():
        return gate_pb2.ReportFeedbackRequest(
            answer_id=feedback.answer_id,
            helpful=feedback.helpful,  # type: ignore[arg-type]  # None leaves it unset
            correct_answer=feedback.correct_answer,
            query=feedback.query,
        )


def feedback_from_proto(request: gate_pb2.ReportFeedbackRequest) -> Feedback:
    """Return the value."""
    has = request.HasField
    return Feedback(
        answer_id=request.answer_id,
        helpful=request.helpful if has("helpful") else None,
        correct_answer=request.correct_answer if has("correct_answer") else None,
        query=request.query if has("query") else None,
    )
