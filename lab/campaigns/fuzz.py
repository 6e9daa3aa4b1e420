"""Fuzz: a server never dies of bad input, never fails by itself, and tells nobody's secrets.

    make lab-campaign-fuzz ARGS="--json FILE"

Damaged messages to every method, with tokens that are valid, expired, revoked, damaged, without
the scope or of another tenant, and with random metadata; then connections that send garbage, or
damaged recordings of real ones. No call may be answered without its scope. No response, error or
trailer may hold a canary, a word of documents that its caller may not see. Bad input must not
give INTERNAL or UNKNOWN, and the log must hold no traceback. Memory stays flat.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import connections
import fuzz_extremes
import fuzz_messages
import grpc
import results_file
import served_store
from fuzz_callers import TENANTS, FuzzAccess, FuzzCaller
from served import ServedSettings, ServerProcess, serving
from tqdm import tqdm

from expertrag.client import Client
from expertrag.serving.core.scopes import SCOPES

CODE = (
    "expertrag/serving",
    "expertrag/auth",
    "expertrag/wire",
    "expertrag/api",
    "expertrag/runtime",
    "expertrag/answer",
    "expertrag/grounding",
    "expertrag/stores",
    "index/expertrag_index",
    "lab/campaigns/fuzz.py",
    "lab/campaigns/fuzz_extremes.py",
    "lab/campaigns/fuzz_messages.py",
    "lab/campaigns/fuzz_callers.py",
    "lab/campaigns/connections.py",
)
FAILURES = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS"}
"""Statuses that bad input must not have."""
GROWTH = 0.1
"""Most growth of memory, from the first quarter of the messages to the end."""
_CALLERS = 6
_ROUND = 200
_DEADLINES_S = (0.02, 0.5, 8.0, 8.0, 8.0)


@dataclass(frozen=True, slots=True)
class FuzzCase:
    """One call."""

    method: str
    message: bytes
    caller: FuzzCaller
    metadata: fuzz_messages.Metadata
    deadline_s: float


@dataclass(slots=True)
class FuzzRun:
    """What came back."""

    methods: dict[str, Counter[str]] = field(default_factory=dict)
    callers: dict[str, Counter[str]] = field(default_factory=dict)
    own_canaries: int = 0
    problems: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def note(self, case: FuzzCase, code: str, told: bytes) -> None:
        """Keep the outcome of a call, and what is wrong with it."""
        self.methods.setdefault(case.method, Counter())[code] += 1
        self.callers.setdefault(case.caller.name, Counter())[code] += 1
        self.own_canaries += any(word.encode() in told for word in case.caller.sees)
        problem = ""
        if code in FAILURES:
            problem = f"{code}: {told[:200]!r}"
        elif code == "OK" and SCOPES[case.method] not in case.caller.scopes:
            problem = "answered without the scope"
        elif any(canary in told for canary in case.caller.forbidden):
            problem = "holds a canary of others"
        if problem:
            made = case.message.hex()[:600]
            self.tell(f"{case.method} by {case.caller.name}: {problem}; message {made}")

    def tell(self, problem: str) -> None:
        """Keep a broken promise."""
        self.problems.append(problem)
        print(f"broken promise: {problem}", file=sys.stderr)


def main() -> int:
    """Run the campaign; return 1 if a promise is broken."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--messages", type=int, default=10_000, help="damaged messages")
    parser.add_argument("--sockets", type=int, default=2_000, help="connections with garbage")
    parser.add_argument("--seed", type=int, default=0, help="of the messages")
    parser.add_argument("--generator", default="paced", help="language model; paced: one of tests")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        body = fuzzed(Path(work), given.messages, given.sockets, given.seed, given.generator)
    results_file.write(given.json, body, CODE)
    print(
        f"{given.messages:,} messages and {given.sockets:,} connections, "
        f"{body['broken']} broken promises",
        file=sys.stderr,
    )
    return bool(body["broken"])


def fuzzed(
    work: Path, messages: int, sockets: int, seed: int, generator: str = "paced"
) -> dict[str, Any]:
    """Fuzz a server; return the figures."""
    began = time.monotonic()
    access = FuzzAccess.make(work)
    served_store.build(work / "store", served_store.topics())
    settings = ServedSettings(
        work / "store",
        step_s=0.001,
        generator=generator,
        collections=work / "collections",
        service={"allow_writes": True, "max_deadline_s": 8.0, "default_deadline_s": 8.0},
        auth=access.auth,
    )
    run = FuzzRun()
    with serving(settings, work / "server") as server:
        access.fill(server.address)
        _send_all(server, cases(access.callers, messages, seed), messages, run)
        growth = _growth(run)
        before = server.rss_mb()
        _send_garbage(server, access, sockets, seed)
        body = {
            "model": generator,
            "messages": messages,
            "sockets": sockets,
            "codes": dict(sum(run.methods.values(), Counter())),
            "methods": {name: dict(codes) for name, codes in sorted(run.methods.items())},
            "callers": {name: dict(codes) for name, codes in sorted(run.callers.items())},
            "responses_with_own_canary": run.own_canaries,
            "memory_mb": {
                "after_a_quarter": round(run.memory_mb[len(run.memory_mb) // 4]),
                "after_messages": round(run.memory_mb[-1]),
                "after_sockets": round(server.rss_mb()),
            },
        }
        growth = max(growth, server.rss_mb() / before - 1)
        _check_end(server, access, growth, run)
    return {
        **body,
        "broken": len(run.problems),
        "findings": run.problems[:50],
        "seconds": round(time.monotonic() - began, 1),
    }


def cases(callers: Sequence[FuzzCaller], number: int, seed: int) -> Iterator[FuzzCase]:
    """Yield calls; one of 20 is not damaged."""
    names = list(fuzz_messages.MAKERS)
    weights = [weight for weight, _ in fuzz_messages.MAKERS.values()]
    for case in range(number):
        rng = random.Random(f"{seed}-{case}")
        (method,) = rng.choices(names, weights)
        (caller,) = rng.choices(callers, [caller.weight for caller in callers])
        made = fuzz_messages.MAKERS[method][1](rng)
        kind = rng.random()
        if kind < 0.4:  # a valid message, of values that may not be
            fuzz_extremes.set_extremes(made, rng)
        message = made.SerializeToString()
        if 0.35 < kind < 0.95:
            message = fuzz_messages.damaged(message, rng)
        sent = [*caller.header(rng), *fuzz_messages.metadata(rng)]
        yield FuzzCase(method, message, caller, sent, rng.choice(_DEADLINES_S))


def _send_all(server: ServerProcess, made: Iterable[FuzzCase], number: int, run: FuzzRun) -> None:
    with ExitStack() as opened, ThreadPoolExecutor(_CALLERS) as pool:
        channels = [
            opened.enter_context(_channel(server.address, number)) for number in range(_CALLERS)
        ]
        waiting = list(made)
        with tqdm(total=number, desc="messages", mininterval=1.0) as progress:
            while waiting and server.alive:
                some, waiting = waiting[:_ROUND], waiting[_ROUND:]
                ways = [channels[place % _CALLERS] for place in range(len(some))]
                for case, (code, told) in zip(some, pool.map(sent, ways, some), strict=True):
                    run.note(case, code, told)
                run.memory_mb.append(server.rss_mb() if server.alive else 0.0)
                progress.update(len(some))
    if not server.alive:
        run.tell(f"the server died: {server.log.read_text()[-2000:]}")


def _channel(address: str, number: int) -> grpc.Channel:
    return grpc.insecure_channel(address, options=[("grpc.enable_retries", 0), ("x", number)])


def sent(channel: grpc.Channel, case: FuzzCase) -> tuple[str, bytes]:
    """Make a call; return its status, and everything that the server said."""
    path = f"/expertrag.v1.{case.method}"
    more: dict[str, Any] = {"timeout": case.deadline_s, "metadata": case.metadata}
    try:
        if case.method.endswith("/StreamAnswer"):
            return "OK", b"".join(channel.unary_stream(path, _same, _same)(case.message, **more))
        if case.method.endswith("/Upsert"):
            messages = iter([case.message, case.message])
            return "OK", channel.stream_unary(path, _same, _same)(messages, **more)
        return "OK", channel.unary_unary(path, _same, _same)(case.message, **more)
    except grpc.RpcError as error:
        failed: Any = error
        trailers = repr([tuple(item) for item in failed.trailing_metadata() or ()])
        return failed.code().name, f"{failed.details()} {trailers}".encode()


def _same(data: bytes) -> bytes:
    return data


def _send_garbage(server: ServerProcess, access: FuzzAccess, number: int, seed: int) -> None:
    def call(address: str) -> None:
        with Client(address, token=access.tokens["acme"]) as client:
            client.answer("When are roses pruned?", mode="always", max_tokens=4)

    recording = connections.recorded(server.address, call)
    for each in tqdm(range(number), desc="connections", mininterval=1.0):
        rng = random.Random(f"{seed}-socket-{each}")
        connections.send(server.address, connections.garbage(recording, rng), rng)


def _growth(run: FuzzRun) -> float:
    return run.memory_mb[-1] / run.memory_mb[len(run.memory_mb) // 4] - 1


def _check_end(server: ServerProcess, access: FuzzAccess, growth: float, run: FuzzRun) -> None:
    if not server.alive:
        run.tell("the server died")
        return
    if server.wait_idle() == float("inf"):
        run.tell(f"work goes on without a caller: {dict(server.state())}")
    for tenant, canary in TENANTS.items():
        with Client(server.address, token=access.tokens[tenant]) as client:
            if canary not in repr(client.retrieve("codename", k=9)):
                run.tell(f"the documents of {tenant} are not found afterwards")
    if not run.own_canaries:
        run.tell("no response held a canary of its caller, so that a leak could not be seen")
    if growth > GROWTH:
        run.tell(f"memory grew by {growth:.0%}")
    for line in server.log_problems():
        run.tell(f"in the log: {line[:500]}")
    if status := server.terminate():
        run.tell(f"the server ended with {status}")


if __name__ == "__main__":
    sys.exit(main())
