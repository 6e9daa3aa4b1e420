"""More calls than a server can answer: overload, a greedy caller, deadlines that expire."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from load_callers import (
    ANSWER,
    DECIDE,
    EMBED,
    RETRIEVE,
    LoadResult,
    Outcomes,
    answer,
    channel,
    closed_loop,
    open_loop,
    percentile_ms,
    retrieve,
    words,
)
from served import PeakMemory, ServedSettings, serving

from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.v1 import embed_pb2, gate_pb2

SLOTS = 8
_OVERLOAD = 4
_REJECTED_MS = 50.0
_GREEDY = 32


def overload(store: Path, work: Path, size: float) -> LoadResult:
    """Offer four times the calls that the server can answer."""
    found = LoadResult()
    settings = ServedSettings(store, step_s=0.025, words=10, service={"max_concurrency": SLOTS})
    seconds = max(3.0, 20 * size)
    with serving(settings, work) as server:
        asyncio.run(closed_loop(server.address, SLOTS, 3.0, answer))
        normal = asyncio.run(closed_loop(server.address, SLOTS, seconds, answer))
        with PeakMemory(server) as memory:
            rate = _OVERLOAD * normal.rate
            over = asyncio.run(open_loop(server.address, rate, seconds, answer))
    normal_ms, over_ms = (percentile_ms(run.accepted_s, 0.99) for run in (normal, over))
    rejected_ms = percentile_ms(over.rejected_s, 0.99)
    found.figures = {
        "lasted_s": seconds,
        "capacity_per_s": round(normal.rate, 1),
        "offered": over.codes.total(),
        "codes": dict(over.codes),
        "goodput": round(over.rate / normal.rate, 3),
        "normal_p99_ms": normal_ms,
        "accepted_p99_ms": over_ms,
        "accepted_p99_of_normal": round(over_ms / normal_ms, 2),
        "rejected_p50_ms": percentile_ms(over.rejected_s, 0.5),
        "rejected_p99_ms": rejected_ms,
        "memory_mb": {"before": round(memory.before), "peak": round(memory.peak)},
    }
    found.check(over.rate >= 0.8 * normal.rate, "goodput is below 80 % of the peak")
    found.check(over_ms <= 2 * normal_ms, "the p99 of accepted calls is over twice the normal one")
    found.check(rejected_ms < _REJECTED_MS, f"rejections take {_REJECTED_MS:g} ms or more")
    found.check(not over.without_pushback, "rejections do not say when to retry")
    found.check(memory.peak <= 1.1 * memory.before, "memory grows by over 10 %")
    found.check(over.codes.keys() <= {"OK", "RESOURCE_EXHAUSTED"}, f"other errors: {over.codes}")
    return found


def fairness(store: Path, work: Path, size: float) -> LoadResult:
    """Measure a caller with a call at a time, beside one with 32, four times the slots."""
    tokens = TokenFile(work / "tokens.json")
    greedy, modest = (
        [("authorization", f"Bearer {tokens.create(name, frozenset({Scope.READ})).text}")]
        for name in ("greedy", "modest")
    )
    settings = ServedSettings(
        store,
        step_s=0.01,
        words=10,
        service={"max_concurrency": SLOTS},
        auth={"tokens": str(tokens.path)},
    )
    seconds = max(3.0, 15 * size)

    async def both(address: str) -> tuple[Outcomes, Outcomes]:
        return await asyncio.gather(
            closed_loop(address, _GREEDY, seconds, answer, metadata=greedy, most_wait_s=0.05),
            closed_loop(address, 1, seconds, answer, metadata=modest),
        )

    with serving(settings, work) as server:
        alone = asyncio.run(closed_loop(server.address, 1, seconds, answer, metadata=modest))
        crowd, one = asyncio.run(both(server.address))
    found = LoadResult(
        {
            "greedy_callers": _GREEDY,
            "greedy_codes": dict(crowd.codes),
            "greedy_per_s": round(crowd.rate, 1),
            "other_codes": dict(one.codes),
            "other_p50_ms": percentile_ms(one.accepted_s, 0.5),
            "other_p99_ms": percentile_ms(one.accepted_s, 0.99),
            "other_alone_p50_ms": percentile_ms(alone.accepted_s, 0.5),
            "other_alone_p99_ms": percentile_ms(alone.accepted_s, 0.99),
        }
    )
    found.check(one.codes.keys() == {"OK"}, f"the other caller is rejected: {dict(one.codes)}")
    found.check(
        found.figures["other_p50_ms"] <= 2.5 * found.figures["other_alone_p50_ms"],
        "the other caller waits for more than about one call of the greedy one",
    )
    return found


def _long_calls() -> list[tuple[str, bytes]]:
    """Return a method and a message of each kind, most of them with much work."""
    embed = embed_pb2.EmbedRequest(texts=[words(1) * 40] * 64).SerializeToString()
    decide = gate_pb2.DecideRequest(query=words(2)).SerializeToString()
    return [
        (ANSWER, answer(1, max_tokens=400)),
        (ANSWER, answer(2, "ALWAYS", max_tokens=400)),
        (RETRIEVE, retrieve(3)),
        (EMBED, embed),
        (DECIDE, decide),
    ]


def deadlines(store: Path, work: Path, size: float) -> LoadResult:
    """Make calls with deadlines that are shorter than their work."""
    calls = max(20, int(100 * size))
    settings = ServedSettings(store, step_s=0.005, words=400)
    outcomes = Outcomes()
    kinds = _long_calls()

    async def send(address: str) -> None:
        rng = random.Random(0)
        ways = [channel(address, number) for number in range(4)]
        tasks = []
        for number in range(calls):
            method, message = kinds[number % len(kinds)]
            timeout = rng.uniform(0.001, 0.2)
            way = ways[number % len(ways)]
            tasks.append(asyncio.create_task(outcomes.call(way, method, message, timeout)))
            await asyncio.sleep(0.02)
        await asyncio.gather(*tasks)
        for way in ways:
            await way.close()

    with serving(settings, work) as server:
        asyncio.run(closed_loop(server.address, 2, 1.0, retrieve, RETRIEVE))
        asyncio.run(send(server.address))
        before = server.cpu_s()
        idle_s = server.wait_idle()
        late_cpu_s = server.cpu_s() - before
        time.sleep(max(0.0, 1.0 - idle_s))
        left = dict(server.state())
        before = server.cpu_s()
        time.sleep(1.0)
        cores = server.cpu_s() - before
    found = LoadResult(
        {
            "calls": calls,
            "codes": dict(outcomes.codes),
            "idle_after_s": round(idle_s, 3),
            "idle_after_cpu_s": round(late_cpu_s, 3),
            "left_afterwards": left,
            "cores_busy_afterwards": round(cores, 3),
        }
    )
    found.check(not any(left.values()), f"work goes on after the deadlines: {left}")
    late = f"workers are busy for {idle_s:.1f} s, {late_cpu_s:.1f} s of CPU"
    found.check(min(idle_s, late_cpu_s / 2) < 1.0, late)  # others may use the two cores
    found.check(cores < 0.1, f"{cores:.2f} cores are busy without a call")
    return found
