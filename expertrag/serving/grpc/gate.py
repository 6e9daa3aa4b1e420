"""GateService: the gate's decision without an answer, and feedback on answers."""

from __future__ import annotations

from expertrag.api.types import GateEvent
from expertrag.serving.core.call import CALL
from expertrag.serving.core.cost import Cost
from expertrag.serving.core.runtime import Servicer
from expertrag.serving.core.workers import CallKind, Context
from expertrag.v1 import gate_pb2
from expertrag.v1.gate_pb2_grpc import GateServiceServicer
from expertrag.wire.gate import decide_from_proto, decision_to_proto, feedback_from_proto


class GateService(Servicer, GateServiceServicer):
    """Decides whether to retrieve, and stores feedback."""

    async def Decide(
        self, request: gate_pb2.DecideRequest, context: Context
    ) -> gate_pb2.DecideResponse:
        """Decide and explain."""
        ask = decide_from_proto(request)
        call, cost = CALL.get(), Cost(ask.question, ask.history)
        self._runtime.quotas.check(call.caller, "tokens")
        decision = await self._runtime.run(
            CallKind.GATE,
            context,
            request.collection,
            lambda pipeline, stop: pipeline.decide(
                ask.question,
                ask.mode,
                threshold=ask.threshold,
                domain=ask.domain,
                history=ask.history,
                should_stop=stop,
            ),
        )
        event = GateEvent(decision)
        call.note(event)
        cost.note(event)
        self._runtime.quotas.charge(call.caller, "tokens", cost.tokens)
        self._runtime.metrics.observe(event)
        return gate_pb2.DecideResponse(decision=decision_to_proto(decision))

    async def ReportFeedback(
        self, request: gate_pb2.ReportFeedbackRequest, context: Context
    ) -> gate_pb2.ReportFeedbackResponse:
        """Store feedback."""
        audit = self._runtime.collections.audit
        caller = CALL.get().caller.known_id
        feedback = feedback_from_proto(request)
        await self._runtime.workers.run(
            CallKind.FEEDBACK, context, lambda stop: audit.feedback(feedback, caller)
        )
        return gate_pb2.ReportFeedbackResponse()
