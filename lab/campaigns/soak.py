"""Soak: a server at half of its capacity for an hour keeps its memory.

    make lab-campaign-soak ARGS="--json FILE"

Searches, answers from documents and closed book, streams, embeddings, decisions and refused calls,
all of them different. Memory is a line over the number of calls after the warm-up; its slope must
be below 1 KB a call.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import results_file
import served_store
from load import CODE as LOAD_CODE
from load import MODEL
from load_callers import (
    ANSWER,
    DECIDE,
    EMBED,
    RETRIEVE,
    Outcomes,
    answer,
    channel,
    percentile_ms,
    retrieve,
    words,
)
from served import ServedSettings, ServerProcess, serving
from tqdm import tqdm

from expertrag.v1 import embed_pb2, gate_pb2

CODE = (*(path for path in LOAD_CODE if "lab/campaigns" not in path), "lab/campaigns/soak.py")
MOST_KB = 1.0
_WARM_UP = 0.25
_CALLERS = 8
_PROBE_S = 10.0
_SAMPLE_S = 2.0
_METHODS: tuple[tuple[str, int], ...] = (
    (RETRIEVE, 6),
    (ANSWER, 3),
    (EMBED, 2),
    (DECIDE, 2),
    ("refused", 1),
)


def main() -> int:
    """Run the campaign; return 1 if a promise is broken."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="length")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        body = soaked(Path(work), 60 * given.minutes)
    results_file.write(given.json, body, CODE)
    print(f"{body}", file=sys.stderr)
    return bool(body["broken"])


def soaked(work: Path, seconds: float, probe_s: float = _PROBE_S) -> dict[str, Any]:
    """Soak a server; return the figures."""
    served_store.build(work / "store", served_store.topics())
    settings = ServedSettings(work / "store", step_s=0.01, words=10)
    findings = []
    with serving(settings, work / "server") as server:
        capacity = asyncio.run(_capacity(server, probe_s))
        outcomes = Outcomes()
        samples = asyncio.run(_soak(server, capacity / 2, seconds, outcomes))
        findings += server.log_problems()[:5]
        if server.wait_idle() == float("inf"):
            findings.append(f"work goes on without a caller: {dict(server.state())}")
    slope = slope_kb(samples)
    if slope >= MOST_KB:
        findings.append(f"memory grows by {slope:.2f} KB a call")
    if not outcomes.codes.keys() <= {"OK", "INVALID_ARGUMENT"}:
        findings.append(f"calls fail: {dict(outcomes.codes)}")
    return {
        "model": MODEL,
        "minutes": round(seconds / 60, 1),
        "capacity_per_s": round(capacity, 1),
        "calls": outcomes.codes.total(),
        "calls_per_s": round(outcomes.codes.total() / seconds, 1),
        "codes": dict(outcomes.codes),
        "p99_ms": percentile_ms(outcomes.accepted_s, 0.99),
        "memory_mb": [round(memory, 1) for _, memory in samples[:: max(1, len(samples) // 12)]],
        "kb_per_call": round(slope, 3),
        "load_average": round(os.getloadavg()[0], 1),
        "broken": len(findings),
        "findings": findings,
    }


def slope_kb(samples: Sequence[tuple[int, float]]) -> float:
    """Return the growth of memory in KB a call, after the warm-up.

    :param samples: number of calls, and memory in MB.
    """
    later = np.array(samples[int(len(samples) * _WARM_UP) :], dtype=np.float64)
    if len(later) < 2:
        return 0.0
    return float(1000 * np.polyfit(later[:, 0], later[:, 1], 1)[0])


async def _call(outcomes: Outcomes, way: Any, number: int) -> None:
    rng = random.Random(number)
    weights = [weight for _, weight in _METHODS]
    ((method, _),) = rng.choices(_METHODS, weights)
    makers: dict[str, Callable[[int], bytes]] = {
        RETRIEVE: retrieve,
        ANSWER: lambda n: answer(n, rng.choice(("NEVER", "ALWAYS", "AUTO", "STRICT"))),
        EMBED: lambda n: embed_pb2.EmbedRequest(texts=[words(n)] * 2).SerializeToString(),
        DECIDE: lambda n: gate_pb2.DecideRequest(query=words(n)).SerializeToString(),
        "refused": lambda n: retrieve(n) + b"\x10\x00",  # k is 0
    }
    message = makers[method](number)
    await outcomes.call(way, RETRIEVE if method == "refused" else method, message)


async def _capacity(server: ServerProcess, seconds: float) -> float:
    outcomes, began = Outcomes(), time.monotonic()
    ways = [channel(server.address, number) for number in range(_CALLERS)]

    async def caller(number: int) -> None:
        count = number * 1_000_000
        while time.monotonic() < began + seconds:
            count += 1
            await _call(outcomes, ways[number], count)

    await asyncio.gather(*map(caller, range(_CALLERS)))
    spent = time.monotonic() - began
    await asyncio.gather(*(way.close() for way in ways))
    return outcomes.codes.total() / spent


async def _soak(
    server: ServerProcess, rate: float, seconds: float, outcomes: Outcomes
) -> list[tuple[int, float]]:
    ways = [channel(server.address, number) for number in range(_CALLERS)]
    began, samples, running, number = time.monotonic(), [(0, server.rss_mb())], set(), 0
    counts: Counter[str] = outcomes.codes
    next_sample = began + _SAMPLE_S
    with tqdm(total=round(seconds), desc="seconds", mininterval=1.0) as progress:
        while (now := time.monotonic()) < began + seconds:
            number += 1
            task = asyncio.create_task(_call(outcomes, ways[number % _CALLERS], 10**8 + number))
            running.add(task)
            task.add_done_callback(running.discard)
            if now >= next_sample:
                samples.append((counts.total(), server.rss_mb()))
                next_sample += _SAMPLE_S
                progress.update(round(min(now - began, seconds)) - progress.n)
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        await asyncio.gather(*running)
    await asyncio.gather(*(way.close() for way in ways))
    return samples


if __name__ == "__main__":
    sys.exit(main())
