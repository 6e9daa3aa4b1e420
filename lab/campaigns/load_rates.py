"""How many calls and messages a server handles."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from load_callers import (
    RETRIEVE,
    STREAM,
    LoadResult,
    channel,
    closed_loop,
    percentile_ms,
    question,
    retrieve,
)
from served import ServedSettings, ServerProcess, serving

from expertrag.v1 import answer_pb2

_WORDS = 256
_STREAMS = 8


def rates(store: Path, work: Path, size: float) -> LoadResult:
    """Count the searches of 16 callers, and the words of eight streams."""
    seconds = max(3.0, 15 * size)
    settings = ServedSettings(store, step_s=0.0, words=_WORDS, service={"max_concurrency": 16})
    with serving(settings, work) as server:
        asyncio.run(closed_loop(server.address, 4, 2.0, retrieve, RETRIEVE))
        before = server.cpu_s()
        found = asyncio.run(closed_loop(server.address, 16, seconds, retrieve, RETRIEVE))
        cpu = server.cpu_s() - before
        words, messages = asyncio.run(_streamed(server, seconds))
    return LoadResult(
        {
            "searches_per_s": round(found.rate),
            "search_p50_ms": percentile_ms(found.accepted_s, 0.5),
            "search_p99_ms": percentile_ms(found.accepted_s, 0.99),
            "search_codes": dict(found.codes),
            "cpu_ms_per_search": round(1000 * cpu / len(found.accepted_s), 2),
            "streamed_words_per_s": round(words),
            "streamed_messages_per_s": round(messages),
        }
    )


async def _streamed(server: ServerProcess, seconds: float) -> tuple[float, float]:
    """Return the words and the messages a second that streams receive."""
    began = time.monotonic()
    counts = await asyncio.gather(
        *(_read(server.address, number, began + seconds) for number in range(_STREAMS))
    )
    spent = time.monotonic() - began
    streams, messages = (sum(numbers) for numbers in zip(*counts, strict=True))
    return streams * _WORDS / spent, messages / spent


async def _read(address: str, number: int, ends_at: float) -> tuple[int, int]:
    way, streams, messages = channel(address, number), 0, 0
    asked = question(number, max_tokens=_WORDS)
    message = answer_pb2.StreamAnswerRequest(question=asked).SerializeToString()
    ask: Any = way.unary_stream(STREAM, None, None)
    while time.monotonic() < ends_at:
        async for _ in ask(message, timeout=60):
            messages += 1
        streams += 1
    await way.close()
    return streams, messages
