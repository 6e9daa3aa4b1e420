"""Readers that stall cost memory for their answer, and nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import grpc
from serving_fixtures import PacedGenerator, StartServer, wait_until

from expertrag.client import Client
from expertrag.v1 import answer_pb2, answer_pb2_grpc

WORDS = 2_000
SMALL_WINDOWS = (
    ("grpc.http2.lookahead_bytes", 1),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.max_frame_size", 16_384),
)
"""Of a client that lets the server send no more than it reads."""


def test_stalled_readers_hold_no_slots(start_server: StartServer, paced: PacedGenerator) -> None:
    paced.words = WORDS
    server = start_server(max_concurrency=2, queue_depth=8)
    request = answer_pb2.StreamAnswerRequest(
        question=answer_pb2.Question(
            text="count",
            policy={"mode": "GATE_MODE_NEVER"},
            sampling=answer_pb2.Sampling(max_tokens=WORDS),
        )
    )
    with ExitStack() as opened, Client(server.address) as client:
        streams: list[Any] = []
        for number in range(6):
            options = [*SMALL_WINDOWS, ("number", number)]
            channel = opened.enter_context(grpc.insecure_channel(server.address, options))
            streams.append(answer_pb2_grpc.AnswerServiceStub(channel).StreamAnswer(request))
        for stream in streams:
            assert next(stream).HasField("gate")
        wait_until(lambda: server.running == 0)
        assert client.answer("count", mode="never", max_tokens=3, timeout=5).text == "0 1 2 "
        for stream in streams:
            events = list(stream)
            text = "".join(event.delta.text for event in events)
            assert text.split() == [str(number) for number in range(WORDS)]
            assert events[-1].HasField("done")
