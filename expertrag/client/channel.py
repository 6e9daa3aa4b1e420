"""Channel options and stubs of the clients."""

from __future__ import annotations

from typing import Any

from expertrag.v1 import (
    adapter_pb2_grpc,
    answer_pb2_grpc,
    audit_pb2_grpc,
    collection_pb2_grpc,
    document_pb2_grpc,
    embed_pb2_grpc,
    gate_pb2_grpc,
    index_pb2_grpc,
    info_pb2_grpc,
    rerank_pb2_grpc,
    retrieve_pb2_grpc,
)

MAX_MESSAGE_BYTES = 8 * 1024 * 1024

OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 120_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # The default backoff grows to 120 s, and a restarted server would go unnoticed that long.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 0),  # see ``retry``
)

HEALTH_CHECK = "/grpc.health.v1.Health/Check"
"""Called with an empty message (the whole server), so that the SDK needs no stub for it."""
HEALTH_SERVING = b"\x08\x01"
"""``HealthCheckResponse(status=SERVING)``: field 1, varint 1."""
HEALTH_POLL_S = 0.1


class Stubs:
    """The generated stubs on one channel, blocking or asyncio."""

    def __init__(self, channel: Any) -> None:
        self.answer = answer_pb2_grpc.AnswerServiceStub(channel)
        self.retrieve = retrieve_pb2_grpc.RetrieveServiceStub(channel)
        self.gate = gate_pb2_grpc.GateServiceStub(channel)
        self.embed = embed_pb2_grpc.EmbedServiceStub(channel)
        self.rerank = rerank_pb2_grpc.RerankServiceStub(channel)
        self.collection = collection_pb2_grpc.CollectionServiceStub(channel)
        self.document = document_pb2_grpc.DocumentServiceStub(channel)
        self.index = index_pb2_grpc.IndexServiceStub(channel)
        self.adapter = adapter_pb2_grpc.AdapterServiceStub(channel)
        self.audit = audit_pb2_grpc.AuditServiceStub(channel)
        self.info = info_pb2_grpc.InfoServiceStub(channel)
        self.health = channel.unary_unary(HEALTH_CHECK)
