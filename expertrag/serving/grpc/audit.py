"""AuditService: what the audit log of a collection tells."""

from __future__ import annotations

from expertrag.api.decisions import CountExpertsRequest, ListQuestionsRequest, ReplayRequest
from expertrag.serving.core.operations.decisions import count_experts, list_questions, replay
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import audit_pb2
from expertrag.v1.audit_pb2_grpc import AuditServiceServicer
from expertrag.wire.common import message_of, value_of


class AuditService(Servicer, AuditServiceServicer):
    """Replays, lists and counts the decisions of the gate."""

    async def Replay(
        self, request: audit_pb2.ReplayRequest, context: Context
    ) -> audit_pb2.ReplayResponse:
        """Replay the decisions under another threshold."""
        policy = value_of(ReplayRequest, request)
        result = await replay(self._runtime, call_of(request.collection), policy)
        return message_of(audit_pb2.ReplayResponse, result)

    async def ListQuestions(
        self, request: audit_pb2.ListQuestionsRequest, context: Context
    ) -> audit_pb2.ListQuestionsResponse:
        """List questions of the log to label."""
        wanted = value_of(ListQuestionsRequest, request)
        questions = await list_questions(self._runtime, call_of(request.collection), wanted)
        return message_of(audit_pb2.ListQuestionsResponse, questions)

    async def CountExperts(
        self, request: audit_pb2.CountExpertsRequest, context: Context
    ) -> audit_pb2.CountExpertsResponse:
        """Count the decisions by domain, expert and time."""
        wanted = value_of(CountExpertsRequest, request)
        counts = await count_experts(self._runtime, call_of(request.collection), wanted)
        return message_of(audit_pb2.CountExpertsResponse, counts)
