"""Messages of ``gate.proto``."""

from __future__ import annotations

from expertrag.api.types import DecideRequest, Feedback, GateAction, GateDecision, GateMode
from expertrag.v1 import gate_pb2
from expertrag.wire.common import EnumMap, fits_the_wire, message_of, value_of
from expertrag.wire.conversation import history_from_proto, history_to_proto

MODES = EnumMap(
    "mode",
    {
        GateMode.AUTO: gate_pb2.GATE_MODE_AUTO,
        GateMode.NEVER: gate_pb2.GATE_MODE_NEVER,
        GateMode.ALWAYS: gate_pb2.GATE_MODE_ALWAYS,
        GateMode.STRICT: gate_pb2.GATE_MODE_STRICT,
    },
)
ACTIONS = EnumMap(
    "action",
    {
        GateAction.CLOSED_BOOK: gate_pb2.GATE_ACTION_CLOSED_BOOK,
        GateAction.RETRIEVE: gate_pb2.GATE_ACTION_RETRIEVE,
    },
)


def policy_to_proto(mode: GateMode | None, threshold: float | None) -> gate_pb2.GatePolicy:
    """Return the message of a policy."""
    number = gate_pb2.GATE_MODE_UNSPECIFIED if mode is None else MODES.to_proto(mode)
    with fits_the_wire():
        return gate_pb2.GatePolicy(mode=number, threshold=threshold)


def policy_from_proto(policy: gate_pb2.GatePolicy) -> tuple[GateMode | None, float | None]:
    """Return mode and threshold; None where they are unset."""
    threshold = policy.threshold if policy.HasField("threshold") else None
    unset = policy.mode == gate_pb2.GATE_MODE_UNSPECIFIED
    return None if unset else MODES.from_proto(policy.mode), threshold


def decide_to_proto(request: DecideRequest) -> gate_pb2.DecideRequest:
    """Return the message."""
    policy = policy_to_proto(request.mode, request.threshold)
    with fits_the_wire():
        return gate_pb2.DecideRequest(
            query=request.question,
            policy=policy,
            domain=request.domain,
            history=history_to_proto(request.history),
        )


def decide_from_proto(request: gate_pb2.DecideRequest) -> DecideRequest:
    """Return the value."""
    mode, threshold = policy_from_proto(request.policy)
    return value_of(
        DecideRequest,
        request,
        question=request.query,
        mode=mode,
        threshold=threshold,
        history=history_from_proto(request.history),
    )


def decision_to_proto(decision: GateDecision) -> gate_pb2.GateDecision:
    """Return the message."""
    action, mode = ACTIONS.to_proto(decision.action), MODES.to_proto(decision.mode)
    return message_of(gate_pb2.GateDecision, decision, action=action, mode=mode)


def decision_from_proto(decision: gate_pb2.GateDecision) -> GateDecision:
    """Return the value."""
    action, mode = ACTIONS.from_proto(decision.action), MODES.from_proto(decision.mode)
    return value_of(GateDecision, decision, action=action, mode=mode)


def feedback_to_proto(feedback: Feedback) -> gate_pb2.ReportFeedbackRequest:
    """Return the request."""
    with fits_the_wire():
        return message_of(gate_pb2.ReportFeedbackRequest, feedback)


def feedback_from_proto(request: gate_pb2.ReportFeedbackRequest) -> Feedback:
    """Return the value."""
    return value_of(Feedback, request)
