"""Messages of ``gate.proto``."""

from __future__ import annotations

from expertrag.api.types import DecideRequest, GateMode
from expertrag.v1 import gate_pb2
from expertrag.wire.common import MODES, fits_the_wire, request_of, value_of


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
    return request_of(gate_pb2.DecideRequest, request, query=request.question, policy=policy)


def decide_from_proto(request: gate_pb2.DecideRequest) -> DecideRequest:
    """Return the value."""
    mode, threshold = policy_from_proto(request.policy)
    return value_of(DecideRequest, request, question=request.query, mode=mode, threshold=threshold)
