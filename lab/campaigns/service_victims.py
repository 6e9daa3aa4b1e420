"""The fault that a call of a server meets, and what is left after it."""

from __future__ import annotations

import asyncio
import errno
import inspect
import logging
import math
import os
import random
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from engine_seams import Dying
from fault_campaign import Case, Seam
from grpc_health.v1 import health_pb2
from service_doors import PATIENCE_S, Doors, Refused, Running, running
from service_scenarios import SCENARIOS, TASKS, WRITING, plain
from service_seams import GIVING_BACK, intercepted

from expertrag.api.errors import InvalidArgument, Unavailable
from expertrag_index.replicas.push import push

_SECRET = "planted-secret"
_FILE = f"/srv/store/{_SECRET}"
ERRORS: dict[str, Callable[[], BaseException]] = {
    "wrong value": lambda: ValueError(_SECRET),
    "raises": lambda: RuntimeError(_SECRET),
    "raises for good": lambda: RuntimeError(_SECRET),
    "no memory": lambda: MemoryError(_SECRET),
    "no space": lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), _FILE),
    "no key": lambda: KeyError(_SECRET),
    "refuses": lambda: InvalidArgument("it is refused"),
    "is away": lambda: Unavailable("it is away"),
    "dies": lambda: Dying(_SECRET),
}
NONSENSE = ("None", "-1", "text", "nan", "shorter")
BLOCK_S = 0.06
_GIVES_UP_S = 0.03  # the caller of a call that blocks
_CONNECTIONS = 9  # descriptors of the connections that readers of a generation open and keep
_QUOTED = re.compile(rf"{_SECRET}|edition\d|About (checkpoints|replication|indexes|planting)")
_WRITE_SHARE = 20  # after one of so many cases that write nothing, something is written
_WRITE_SHARE_OF_WRITES = 3
_MOST_LINES = 20
_POOLS = ("expertrag-work", "asyncio", "tqdm")  # threads of pools, which stay
_STATES = {
    ("Workers", "run"): "admitted",
    ("Workers", "stream"): "admitted",
    ("Collections", "use"): "opened",
    ("Collections", "keep_open"): "opened",
    ("Entry", "record_decision"): "decided",
    ("PacedSession", "deltas"): "answering",
    ("Audit", "write"): "ending",
    ("IndexWriter", "open"): "writing",
    ("IndexWriter", "seal"): "published",
}
"""The state of a call once it has made a call."""


class World:
    """A server, its callers, and the fault that its seams have now."""

    def __init__(self) -> None:
        self.called: set[Seam] = set()
        self.records: list[str] = []
        self._case: Case | None = None
        self._counts: Counter[tuple[Seam, str, str]] | None = None
        self._lock = threading.Lock()
        self._own = threading.local()
        self._answered = threading.Event()
        self._reset("")

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[World]:
        """Serve a store, with all seams in the hands of a world."""
        world = cls()
        structlog.configure(processors=[world._note])
        log, handler = logging.getLogger(), _Kept(world.records)
        before, log.handlers = log.handlers, [handler]
        try:
            with (
                tempfile.TemporaryDirectory() as folder,
                intercepted(world.intercept),
                running(Path(folder)) as server,
                closing(Doors(server)) as doors,
            ):
                world._begin(server, doors)
                yield world
        finally:
            log.handlers = before
            structlog.reset_defaults()

    def _begin(self, server: Running, doors: Doors) -> None:
        self._server, self._doors = server, doors
        self._own.on = True  # what this thread does is not a call of the server
        self._health: list[int] = []
        threading.Thread(target=self._watch, name="health", daemon=True).start()
        push(server.store, str(server.work / "published"))
        self._learn()
        self._learn()  # now threads, connections and caches are there
        self._stats, self._left = self._documents(), self._now()
        self._left["descriptors"] += _CONNECTIONS

    def _learn(self) -> None:
        """Note what callers get, and in what time."""
        self._expected: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}
        for name, scenario in SCENARIOS.items():
            began = time.monotonic()
            self._expected[name] = scenario(self._doors)
            self._seconds[name] = time.monotonic() - began
        self._plain = plain(self._doors)

    def record(self) -> Mapping[tuple[Seam, str, str], int]:
        """Run every scenario without a fault; count the calls of each seam in each state."""
        self._counts = Counter()
        for name in SCENARIOS:
            self._reset(name)
            self._run(name)
            self._settle()
        counts, self._counts = self._counts, None
        return counts

    def try_case(self, case: Case) -> list[str] | None:
        """Run a case; return what is wrong, or None if the fault did not come."""
        self._reset(case.scenario)
        blocks = case.fault == "blocks" and case.scenario not in TASKS
        self._doors.timeout = max(0.02, 3 * self._seconds[case.scenario]) if blocks else PATIENCE_S
        self._case = case
        outcome = self._run(case.scenario)
        self._answered.set()
        self._settle()  # a caller that gave up leaves its write running, fault or not
        self._case, self._doors.timeout = None, PATIENCE_S
        if not self._fired:
            if isinstance(outcome, Refused) and case.scenario in WRITING:
                self._doors.delete()
            return None
        findings = [*self._check_outcome(case, outcome), *self._check_after(case)]
        return [*findings, *self._check_records(case)]

    def intercept(self, seam: Seam, awaited: bool, call: Callable[[], Any]) -> Any:
        """Stand in for a seam; see :func:`service_seams.intercepted`."""
        if not self._scenario or getattr(self._own, "on", False):
            return call()
        case = self._comes(seam)
        if case is None:
            return call()
        return self._afailing(case, call) if awaited else self._failing(case, call)

    def memory_mib(self) -> float:
        """Return the resident memory of this process."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _reset(self, scenario: str) -> None:
        self._scenario, self._state = scenario, "arriving"
        self._matching = self._fired = 0
        self._answered.clear()
        self.records.clear()

    def _comes(self, seam: Seam) -> Case | None:
        """Count a call; return the case whose fault it meets."""
        with self._lock:
            state = self._state
            self._state = _STATES.get((seam.owner, seam.name), state)
            if self._counts is not None:
                self.called.add(seam)
                self._counts[seam, self._scenario, state] += 1
            case = self._case
            if case is None or case.seam != seam or case.state != state:
                return None
            self._matching += 1
            good = self._matching > case.call and case.fault == "raises for good"
            if self._matching != case.call and not good:
                return None
            self._fired += 1
            return case

    def _failing(self, case: Case, call: Callable[[], Any]) -> Any:
        if case.fault in ERRORS:
            if case.seam.name in GIVING_BACK:
                call()
            _forget(call)
            raise ERRORS[case.fault]()
        if case.fault == "blocks":
            self._answered.wait(BLOCK_S if case.scenario in TASKS else PATIENCE_S)
            return call()
        return _nonsense(case.fault, call())

    async def _afailing(self, case: Case, call: Callable[[], Any]) -> Any:
        if case.fault == "blocks":
            most_s = BLOCK_S if case.scenario in TASKS else PATIENCE_S
            await asyncio.to_thread(self._answered.wait, most_s)
            return await call()
        if case.fault in ERRORS:
            if case.seam.name in GIVING_BACK:
                await call()
            _forget(call)
            raise ERRORS[case.fault]()
        return _nonsense(case.fault, await call())

    def _run(self, name: str) -> Any:
        try:
            return SCENARIOS[name](self._doors)
        except Refused as refused:
            return refused

    def _check_outcome(self, case: Case, outcome: Any) -> Iterator[str]:
        if not isinstance(outcome, Refused):
            if case.fault not in NONSENSE and outcome != self._expected[case.scenario]:
                yield f"the caller got another result: {outcome!r:.300}"
            return
        if not outcome.typed:
            yield f"the caller got no typed error: {outcome!s:.300}"
        if found := _QUOTED.search(outcome.told):
            yield f"the error quotes {found[0]}: {outcome!s:.300}"
        if outcome.code in ("DEADLINE_EXCEEDED", "504") and case.fault != "blocks":
            yield f"the caller waits in vain: {outcome!s:.300}"

    def _check_after(self, case: Case) -> Iterator[str]:
        self._scenario = ""
        try:
            yield from self._check_plain(case)
        except Refused as refused:
            yield f"the next plain call got {refused!s:.300}"
        if set(self._health) != {health_pb2.HealthCheckResponse.SERVING}:
            if case.seam.name != "healthy" or case.fault not in NONSENSE:
                yield f"the health was {self._health}"
            self._health[:] = self._health[-1:]
        left = self._settle()
        if more := left - self._left:
            yield f"left over: {dict(more)}"
        self._left |= left

    def _check_plain(self, case: Case) -> Iterator[str]:
        """Check that plain calls have their results, and that the store takes a write."""
        writes = case.scenario in WRITING
        if writes:
            self._doors.delete()  # what a write has added before it failed
        if (found := plain(self._doors)) != self._plain:
            if case.fault in NONSENSE and writes:
                self._learn()  # the store is measured when it is written: now by nonsense
            else:
                yield f"the next plain question got {found!r:.300}"
        if not random.randrange(_WRITE_SHARE_OF_WRITES if writes else _WRITE_SHARE):
            found = SCENARIOS["write"](self._doors)
            if found != self._expected["write"]:
                yield f"the next write got {found!r:.300}"
            self._doors.post("/health")
        if (documents := self._documents()) != self._stats:
            yield f"the store has {documents} instead of {self._stats}"

    def _check_records(self, case: Case) -> Iterator[str]:
        """Check what was logged."""
        told = [record for record in self.records if _SECRET in record.replace(_FILE, "")]
        if told:
            yield f"a message was logged: {told[0]:.300}"
        if lost := [record for record in self.records if record.startswith("asyncio")]:
            yield f"an error was lost: {lost[0]:.300}"
        if len(self.records) > _MOST_LINES and case.scenario not in TASKS:
            yield f"{len(self.records)} lines were logged"

    def _documents(self) -> tuple[int, int]:
        stats = self._server.pipeline.stats()
        return stats.documents, stats.chunks

    def _watch(self) -> None:
        """Note every change of the health that the server tells a watcher."""
        with suppress(Exception):  # the channel is closed at the end
            for told in self._doors.health.Watch(health_pb2.HealthCheckRequest()):
                self._health.append(told.status)
        self._health.append(-1)

    def _settle(self) -> Counter[str]:
        """Wait until nothing is left of a call; return what is."""
        until = time.monotonic() + PATIENCE_S
        while (left := self._now()) - self._left and time.monotonic() < until:
            time.sleep(0.001)
        return left

    def _now(self) -> Counter[str]:
        """Count what a call takes, and gives back."""
        server = self._server
        before, self._own.on = getattr(self._own, "on", False), True
        core, served = server.grpc.core, server.pipeline._served
        runtime = core.runtime
        assert runtime.loaded is not None, "it is loaded"
        held = Counter(
            sessions=server.paced.open_sessions,
            running=server.grpc.running,
            waiting=server.grpc.waiting,
            leases=sum(served._leases.values()),
            writing=int(served._write_lock.locked()),
            uses=sum(entry.uses for entry in runtime.loaded._entries.values()),
            receiving=core.in_flight._places.running,
            bytes=core.in_flight.bytes,
            calls=sum(account.running for account in runtime.quotas._accounts.values()),
            tasks=len(asyncio.all_tasks(server.background.loop)),
            descriptors=len(os.listdir("/proc/self/fd")),
        )
        names = [re.sub(r"\d", "", thread.name) for thread in threading.enumerate()]
        held.update(name for name in names if not name.startswith(_POOLS))
        self._own.on = before
        return held

    def _note(self, _logger: object, method: str, fields: Any) -> str:
        shown = {name: value for name, value in fields.items() if name != "exc_info"}
        if method not in ("debug", "info"):
            self.records.append(str(shown))
        raise structlog.DropEvent


class _Kept(logging.Handler):
    """Keeps the warnings of a log."""

    def __init__(self, records: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._kept = records

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(f"{record.name} {record.getMessage()}")


def _forget(call: Callable[[], Any]) -> None:
    """Close what a call would have awaited."""
    for argument in getattr(call, "args", ()):
        if inspect.iscoroutine(argument):
            argument.close()


def _nonsense(fault: str, result: Any) -> Any:
    if hasattr(result, "close"):
        result.close()  # nobody else could
    if fault == "nan":
        return _spoilt(result)
    if fault == "shorter":
        return result[:-1] if isinstance(result, str | list | tuple | np.ndarray) else ()
    return {"None": None, "-1": -1, "text": _SECRET}[fault]


def _spoilt(result: Any) -> Any:
    """Replace the numbers of a result by "not a number"."""
    if isinstance(result, np.ndarray):
        return np.full(result.shape, math.nan, np.float32)
    if isinstance(result, list | tuple):
        return [_spoilt(item) for item in result]
    return math.nan
