"""Callers that load a server, and what becomes of their calls."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from served_store import WORDS

from expertrag.v1 import answer_pb2, gate_pb2, retrieve_pb2

ANSWER = "/expertrag.v1.AnswerService/Answer"
STREAM = "/expertrag.v1.AnswerService/StreamAnswer"
RETRIEVE = "/expertrag.v1.RetrieveService/Retrieve"
EMBED = "/expertrag.v1.EmbedService/Embed"
DECIDE = "/expertrag.v1.GateService/Decide"
PUSHBACK = "grpc-retry-pushback-ms"
_CHANNELS = 8

Make = Callable[[int], bytes]
Metadata = Sequence[tuple[str, str]]


@dataclass(slots=True)
class LoadResult:
    """Figures of a scenario, and the promises that it broke."""

    figures: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def check(self, kept: bool, broken: str) -> None:
        """Note a promise that is not kept."""
        if not kept:
            self.broken.append(broken)


@dataclass(slots=True)
class Outcomes:
    """What became of calls; times in seconds."""

    accepted_s: list[float] = field(default_factory=list)
    rejected_s: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    without_pushback: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answered calls a second."""
        return len(self.accepted_s) / self.seconds

    async def call(
        self,
        channel: grpc.aio.Channel,
        method: str,
        message: bytes,
        deadline_s: float = 30.0,
        metadata: Metadata = (),
    ) -> float | None:
        """Make a call; return the seconds to wait if it is rejected."""
        began = time.monotonic()
        try:
            ask: Any = channel.unary_unary(method, _same, _same)
            await ask(message, timeout=deadline_s, metadata=tuple(metadata))
        except grpc.aio.AioRpcError as error:
            self.codes[error.code().name] += 1
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                return None
            self.rejected_s.append(time.monotonic() - began)
            told = dict(error.trailing_metadata() or ()).get(PUSHBACK)
            self.without_pushback += told is None
            return float(told or 100) / 1000
        self.accepted_s.append(time.monotonic() - began)
        self.codes["OK"] += 1
        return None


def _same(data: bytes) -> bytes:
    return data


def channel(address: str, number: int = 0) -> grpc.aio.Channel:
    """Open a connection of its own."""
    options = [("grpc.enable_retries", 0), ("grpc.max_send_message_length", -1), ("x", number)]
    return grpc.aio.insecure_channel(address, options=options)


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage meanwhile.

    The embedder is in this process, too, and half a second for its objects would count as the
    server's time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def closed_loop(
    address: str,
    callers: int,
    seconds: float,
    make: Make,
    method: str = ANSWER,
    *,
    metadata: Metadata = (),
    most_wait_s: float = 1.0,
) -> Outcomes:
    """Let callers call one after another; one that is rejected waits as it is told.

    :param most_wait_s: longest wait of a caller that is rejected.
    """
    found = Outcomes()
    channels = [channel(address, number) for number in range(min(callers, _CHANNELS))]
    began = time.monotonic()

    async def caller(number: int) -> None:
        count = number * 1_000_000
        while time.monotonic() < began + seconds:
            count += 1
            way = channels[number % len(channels)]
            wait_s = await found.call(way, method, make(count), metadata=metadata)
            if wait_s is not None:
                await asyncio.sleep(min(wait_s, most_wait_s))

    with uncollected():
        await asyncio.gather(*map(caller, range(callers)))
    found.seconds = time.monotonic() - began
    await asyncio.gather(*(each.close() for each in channels))
    return found


async def open_loop(address: str, rate: float, seconds: float, make: Make) -> Outcomes:
    """Make calls at a rate, whatever becomes of them."""
    found = Outcomes()
    channels = [channel(address, number) for number in range(_CHANNELS)]
    began = time.monotonic()
    calls: list[Awaitable[Any]] = []
    with uncollected():
        while time.monotonic() < began + seconds:
            way = channels[len(calls) % _CHANNELS]
            calls.append(asyncio.create_task(found.call(way, ANSWER, make(len(calls)))))
            await asyncio.sleep(max(0.0, began + len(calls) / rate - time.monotonic()))
        await asyncio.gather(*calls)
    found.seconds = time.monotonic() - began
    await asyncio.gather(*(each.close() for each in channels))
    return found


def answer(number: int, mode: str = "NEVER", max_tokens: int = 10) -> bytes:
    """Return a question, another for each number."""
    return answer_pb2.AnswerRequest(question=question(number, mode, max_tokens)).SerializeToString()


def question(number: int, mode: str = "NEVER", max_tokens: int = 10) -> answer_pb2.Question:
    """Return the question of a request."""
    return answer_pb2.Question(
        text=f"What about {words(number)}?",
        policy=gate_pb2.GatePolicy(mode=gate_pb2.GateMode.Value(f"GATE_MODE_{mode}")),  # type: ignore[arg-type]
        sampling=answer_pb2.Sampling(max_tokens=max_tokens),
    )


def retrieve(number: int) -> bytes:
    """Return a search, another for each number."""
    return retrieve_pb2.RetrieveRequest(query=words(number), k=5).SerializeToString()


def words(number: int) -> str:
    """Return some words, others for each number."""
    return " ".join(random.Random(number).sample(WORDS, 4)) + f" {number}"


def percentile_ms(seconds: Sequence[float], share: float) -> float:
    """Return a percentile in milliseconds; infinity if there is nothing."""
    ordered = sorted(seconds)
    if not ordered:
        return float("inf")
    return round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)
