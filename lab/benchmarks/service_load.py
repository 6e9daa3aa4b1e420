"""Callers that keep a server busy: each sends its next call when the last one is answered."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path

import grpc

from expertrag.v1 import info_pb2, retrieve_pb2

RETRIEVE = "/expertrag.v1.RetrieveService/Retrieve"
INFO = "/expertrag.v1.InfoService/Info"
WORDS = (
    "vacuum",
    "index",
    "table",
    "checkpoint",
    "tar",
    "grep",
    "git",
    "trigger",
    "role",
    "docker",
)
_CHANNELS = 4  # connections that the callers share
_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Load:
    """What some callers saw: seconds of each call, seconds in all, CPU seconds of the server."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0

    def figures(self) -> dict[str, float]:
        """Return calls per second, percentiles, and CPU milliseconds of the server per call."""
        ordered = sorted(self.latencies)
        return {
            "calls_per_s": round(len(ordered) / self.seconds, 1),
            "p50_ms": round(1e3 * ordered[len(ordered) // 2], 2),
            "p99_ms": round(1e3 * ordered[int(len(ordered) * 0.99)], 2),
            "cpu_ms_per_call": round(1e3 * self.cpu_s / len(ordered), 2),
        }


def load(
    address: str,
    pid: int,
    callers: int,
    seconds: float,
    path: str = RETRIEVE,
    asked: Sequence[str] = (),
) -> Load:
    """Call ``path`` of a server for a time.

    :param asked: the questions, again and again; without them no two questions are the same.
    """
    requests = (_requests(cycle(asked)) if asked else questions()) if path == RETRIEVE else _infos()
    found = Load()
    asyncio.run(_closed(address, callers, 1.0, path, lambda: next(requests), Load()))
    cpu = cpu_seconds(pid)
    asyncio.run(_closed(address, callers, seconds, path, lambda: next(requests), found))
    found.cpu_s = cpu_seconds(pid) - cpu
    return found


def questions() -> Iterator[bytes]:
    """Yield requests for five passages."""
    yield from _requests(map(question, count(random.randrange(1 << 30))))


def _requests(asked: Iterable[str]) -> Iterator[bytes]:
    for text in asked:
        yield retrieve_pb2.RetrieveRequest(query=text, k=5).SerializeToString()


def question(number: int) -> str:
    """Return a question; those of two numbers differ."""
    words = " ".join(random.Random(number).sample(WORDS, 3))
    return f"how does {words} work {number}"


def _infos() -> Iterator[bytes]:
    while True:
        yield info_pb2.InfoRequest().SerializeToString()


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def _closed(
    address: str, callers: int, seconds: float, path: str, request: Callable[[], bytes], found: Load
) -> None:
    channels = [
        grpc.aio.insecure_channel(address, options=[("channel", number)])  # not shared by gRPC
        for number in range(min(_CHANNELS, callers))
    ]
    started = time.monotonic()

    async def caller(number: int) -> None:
        call = channels[number % len(channels)].unary_unary(path, bytes, bytes)
        while time.monotonic() < started + seconds:
            sent = time.monotonic()
            await call(request(), timeout=_TIMEOUT_S)
            found.latencies.append(time.monotonic() - sent)

    await asyncio.gather(*map(caller, range(callers)))
    found.seconds = time.monotonic() - started
    for channel in channels:
        await channel.close()
