"""AuditService: what the audit log of a collection tells."""

from __future__ import annotations

from expertrag.serving.core.operations.decisions import count_experts, list_questions, replay
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import audit_pb2
from expertrag.v1.audit_pb2_grpc import AuditServiceServicer
from expertrag.wire import audit


class AuditService(Servicer, AuditServiceServicer):
    """Replays, lists and counts the decisions of the gate."""

    async def Replay(
        self, request: audit_pb2.ReplayRequest, context: Context
    ) -> audit_pb2.ReplayResponse:
        """Replay the decisions under another threshold."""
        policy = audit.replay_from_proto(request)
        result = await replay(self._runtime, call_of(request.collection), policy)
        return audit.replay_result_to_proto(result)

    async def ListQuestions(
        self, request: audit_pb2.ListQuestionsRequest, context: Context
    ) -> audit_pb2.ListQuestionsResponse:
        """List questions of the log to label."""
        wanted = audit.list_questions_from_proto(request)
        questions = await list_questions(self._runtime, call_of(request.collection), wanted)
        return audit.questions_to_proto(questions)

    async def CountExperts(
        self, request: audit_pb2.CountExpertsRequest, context: Context
    ) -> audit_pb2.CountExpertsResponse:
        """Count the decisions by domain, expert and time."""
        wanted = audit.experts_from_proto(request)
        counts = await count_experts(self._runtime, call_of(request.collection), wanted)
        return audit.counts_to_proto(counts)
