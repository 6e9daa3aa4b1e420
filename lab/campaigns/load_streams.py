"""Readers of streams that go away, or that do not read."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import connections
import grpc
from load_callers import (
    ANSWER,
    RETRIEVE,
    STREAM,
    LoadResult,
    Outcomes,
    answer,
    channel,
    percentile_ms,
    question,
    retrieve,
)
from served import PeakMemory, ServedSettings, ServerProcess, serving

from expertrag.v1 import answer_pb2

SLOTS = 8
_FREED_MS = 100.0
_SLOW_READERS = 12
_WORDS = 2_000
_SMALL_WINDOWS = (
    ("grpc.http2.lookahead_bytes", 1),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.max_frame_size", 16_384),
    ("grpc.http2.write_buffer_size", 1),
)
"""Of a client that tells the server to send no more than it reads."""


def cancels(store: Path, work: Path, size: float) -> LoadResult:
    """Let clients cancel in the middle of an answer, or be killed with their connection."""
    rounds = max(2, round(200 * size / SLOTS))
    settings = ServedSettings(store, step_s=0.02, words=1_000, service={"max_concurrency": SLOTS})
    freed: dict[str, list[float]] = {"cancelled": [], "killed": []}
    with serving(settings, work) as server:
        recording = connections.recorded(server.address, _half_an_answer)
        begun = connections.without_end(recording)
        server.wait_idle()
        for number in range(rounds):
            if number % 2:
                freed["cancelled"].append(asyncio.run(_cancelled(server)))
            else:
                freed["killed"].append(_killed(server, begun))
        left = dict(server.state())
    worst = {name: percentile_ms(seconds, 1.0) for name, seconds in freed.items()}
    found = LoadResult(
        {
            "clients": rounds * SLOTS,
            "freed_p50_ms": {name: percentile_ms(times, 0.5) for name, times in freed.items()},
            "freed_max_ms": worst,
            "left": left,
        }
    )
    found.check(not any(left.values()), f"slots are not free: {left}")
    for name, milliseconds in worst.items():
        found.check(milliseconds <= _FREED_MS, f"{name}: slots are freed after {milliseconds} ms")
    return found


def _half_an_answer(address: str) -> None:
    """Make the call that is recorded, of which only what the client sends matters."""
    with grpc.insecure_channel(address) as way:
        stream: Any = way.unary_stream(STREAM, None, None)(_stream(1, 1_000), timeout=60)  # type: ignore[arg-type]
        next(stream)
        stream.cancel()


def _stream(number: int, max_tokens: int) -> bytes:
    asked = question(number, max_tokens=max_tokens)
    return answer_pb2.StreamAnswerRequest(question=asked).SerializeToString()


async def _cancelled(server: ServerProcess) -> float:
    ways = [channel(server.address, number) for number in range(SLOTS)]
    streams: list[Any] = [
        way.unary_stream(STREAM, None, None)(_stream(number, 1_000), timeout=60)  # type: ignore[arg-type]
        for number, way in enumerate(ways)
    ]
    for stream in streams:
        await stream.read()
    _wait_running(server)
    for stream in streams:
        stream.cancel()
    seconds = server.wait_idle()
    for way in ways:
        await way.close()
    return seconds


def _killed(server: ServerProcess, begun: bytes) -> float:
    opened = [connections.open_connection(server.address) for _ in range(SLOTS)]
    for connection in opened:
        connection.sendall(begun)
    _wait_running(server)
    for connection in opened:
        connections.reset(connection)
    return server.wait_idle()


def _wait_running(server: ServerProcess) -> None:
    ends_at = time.monotonic() + 20
    while server.state()["running"] < SLOTS:
        if time.monotonic() > ends_at:
            raise TimeoutError(f"{server.state()} is not {SLOTS} running answers")
        time.sleep(0.01)


def slow_readers(store: Path, work: Path, size: float) -> LoadResult:
    """Let more readers than there are slots stall for ten seconds."""
    stall_s = max(3.0, 10 * size)
    settings = ServedSettings(
        store, step_s=0.001, words=_WORDS, service={"max_concurrency": SLOTS, "queue_depth": 16}
    )
    with serving(settings, work) as server:
        found = asyncio.run(_stalled(server, stall_s))
    return found


async def _stalled(server: ServerProcess, stall_s: float) -> LoadResult:
    await _probed(server, 2.0)  # warms up
    before = await _probed(server, stall_s)
    ways = [
        grpc.aio.insecure_channel(server.address, options=[*_SMALL_WINDOWS, ("x", number)])
        for number in range(_SLOW_READERS)
    ]
    with PeakMemory(server) as memory:
        streams: list[Any] = []
        for number, way in enumerate(ways):
            read = answer_pb2.StreamAnswerResponse.FromString
            ask: Any = way.unary_stream(STREAM, None, read)
            streams.append(aiter(ask(_stream(number, _WORDS), timeout=90)))
        for stream in streams:
            await anext(stream)
        began = time.monotonic()
        await asyncio.to_thread(server.wait_idle, 60.0)
        held_s = time.monotonic() - began
        during = await _probed(server, stall_s)
    texts = [await _rest_of(stream) for stream in streams]
    for way in ways:
        await way.close()
    found = LoadResult(
        {
            "readers": _SLOW_READERS,
            "slots": SLOTS,
            "stalled_s": round(stall_s + held_s, 1),
            "slots_free_after_s": round(held_s, 2),
            "others": dict(during.codes),
            "others_p50_ms": _times(before, during, 0.5),
            "others_p99_ms": _times(before, during, 0.99),
            "memory_grew_mb": round(memory.peak - memory.before, 1),
            "whole_texts": sum(words == _WORDS for words in texts),
        }
    )
    found.check(held_s < 30, "stalled readers hold the slots of answers")
    found.check(during.codes.keys() == {"OK"}, f"others fail: {dict(during.codes)}")
    found.check(memory.peak - memory.before < 5, "memory grows by 5 MB or more")
    p50 = found.figures["others_p50_ms"]
    found.check(p50["during"] < 1.5 * p50["before"] + 5, f"others are slower: {p50}")
    found.check(all(words == _WORDS for words in texts), f"texts are not whole: {texts}")
    return found


def _times(before: Outcomes, during: Outcomes, share: float) -> dict[str, float]:
    return {
        "before": percentile_ms(before.accepted_s, share),
        "during": percentile_ms(during.accepted_s, share),
    }


async def _probed(server: ServerProcess, seconds: float) -> Outcomes:
    """Make searches and short answers, 20 of each a second at most."""
    outcomes, way = Outcomes(), channel(server.address, 99)
    ends_at, number = time.monotonic() + seconds, 0
    while time.monotonic() < ends_at:
        number += 1
        await outcomes.call(way, RETRIEVE, retrieve(number))
        await outcomes.call(way, ANSWER, answer(number, max_tokens=1))
        await asyncio.sleep(0.04)
    await way.close()
    return outcomes


async def _rest_of(stream: Any) -> int:
    """Read a stream to its end; return the number of words of the answer."""
    text = ""
    async for message in stream:
        text += message.delta.text
    return len(text.split())
