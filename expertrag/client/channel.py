"""Channel options, retry policy and stubs of the clients."""

from __future__ import annotations

import json
from typing import Any

from expertrag.v1 import (
    answer_pb2_grpc,
    embed_pb2_grpc,
    gate_pb2_grpc,
    index_pb2_grpc,
    info_pb2_grpc,
    retrieve_pb2_grpc,
)

MAX_MESSAGE_BYTES = 8 * 1024 * 1024

IDEMPOTENT = (
    {"service": "expertrag.v1.AnswerService", "method": "Answer"},
    {"service": "expertrag.v1.RetrieveService"},
    {"service": "expertrag.v1.GateService", "method": "Decide"},
    {"service": "expertrag.v1.EmbedService"},
    {"service": "expertrag.v1.IndexService", "method": "Stats"},
    {"service": "expertrag.v1.InfoService"},
)
"""Calls that may be retried. Streams are not resumed, and writes not repeated."""

SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": list(IDEMPOTENT),
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}

OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 120_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # The default backoff grows to 120 s, and a restarted server would go unnoticed that long.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
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
        self.index = index_pb2_grpc.IndexServiceStub(channel)
        self.info = info_pb2_grpc.InfoServiceStub(channel)
        self.health = channel.unary_unary(HEALTH_CHECK)
