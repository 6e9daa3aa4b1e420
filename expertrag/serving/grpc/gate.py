"""GateService: the gate's decision without an answer, and feedback on answers."""

from __future__ import annotations

from expertrag.api.types import Feedback
from expertrag.serving.core.operations.answering import decide, report_feedback
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import gate_pb2
from expertrag.v1.gate_pb2_grpc import GateServiceServicer
from expertrag.wire.common import message_of, value_of
from expertrag.wire.gate import decide_from_proto


class GateService(Servicer, GateServiceServicer):
    """Decides whether to retrieve, and stores feedback."""

    async def Decide(
        self, request: gate_pb2.DecideRequest, context: Context
    ) -> gate_pb2.DecideResponse:
        """Decide and explain."""
        question = decide_from_proto(request)
        decision = await decide(self._runtime, call_of(request.collection), question)
        return gate_pb2.DecideResponse(decision=message_of(gate_pb2.GateDecision, decision))

    async def ReportFeedback(
        self, request: gate_pb2.ReportFeedbackRequest, context: Context
    ) -> gate_pb2.ReportFeedbackResponse:
        """Store feedback."""
        await report_feedback(self._runtime, call_of(), value_of(Feedback, request))
        return gate_pb2.ReportFeedbackResponse()
