"""Servers that are restarted, killed, or given a new index, under load."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import served_store
from load_callers import LoadResult, percentile_ms, words
from served import ServedSettings, serving
from tqdm import tqdm

from expertrag.api.errors import ExpertRAGError
from expertrag.api.types import Answer, DocumentInput, RetrieveResult
from expertrag.client import Client
from expertrag_index.types import Document
from expertrag_index.upkeep.compact import measure_waste
from expertrag_index.upkeep.verify import verify

_TIMEOUT_S = 120.0
"""Within which a call waits for a server that starts."""
_MARKED = 12
_BULK = 40
_TOPICS = len(served_store.topics())


@dataclass(slots=True)
class SteadyLoad:
    """Callers of the SDK that call all the time; ``mixed``: responses of two generations."""

    address: str
    calls: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    generations: set[int] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, *kinds: str) -> Iterator[None]:
        """Run a caller of each kind for a block."""
        with ThreadPoolExecutor(len(kinds)) as pool:
            callers: list[Future[None]] = [
                pool.submit(self._call, kind, number) for number, kind in enumerate(kinds)
            ]
            try:
                yield
            finally:
                self._ended.set()
        for caller in callers:
            caller.result()

    def _call(self, kind: str, number: int) -> None:
        with Client(self.address) as client:
            count = number * 1_000_000
            while not self._ended.is_set():
                count += 1
                began = time.monotonic()
                try:
                    self._ask(client, kind, count)
                except ExpertRAGError as error:
                    self.errors.append(f"{kind}: {type(error).__name__} {error.reason}: {error}")
                    time.sleep(0.1)
                self.seconds.append(time.monotonic() - began)
                self.calls[kind] += 1
                time.sleep(0.01)

    def _ask(self, client: Client, kind: str, count: int) -> None:
        text = f"generation {words(count)}"
        if kind == "retrieve":
            self._compare(client.retrieve(text, k=5, timeout=_TIMEOUT_S))
        elif kind == "answer":
            mode, limits = "always", {"max_tokens": 5, "timeout": _TIMEOUT_S}
            self._compare(client.answer(text, mode=mode, **limits))  # type: ignore[arg-type]
        else:
            list(client.stream(text, mode="never", max_tokens=5, timeout=_TIMEOUT_S))

    def _compare(self, result: RetrieveResult | Answer) -> None:
        marks = {passage.metadata.get("generation") for passage in result.passages}
        if marks - {None}:
            self.generations.add(result.generation or 0)
            if marks != {result.generation}:
                self.mixed.append(f"generation {result.generation} with passages of {marks}")


def restarts(store: Path, work: Path, size: float) -> LoadResult:
    """Send SIGTERM and start again at the same address, under the load of the SDK."""
    times = max(2, int(20 * size))
    ready, stopped, statuses = [], [], []
    with serving(_settings(store), work) as server:
        load = SteadyLoad(server.address)
        with load.running("retrieve", "answer", "stream", "retrieve", "answer", "stream"):
            for _ in tqdm(range(times), desc="restarts", mininterval=1.0):
                time.sleep(1.0)
                began = time.monotonic()
                statuses.append(server.terminate())
                stopped.append(time.monotonic() - began)
                server.restart()
                ready.append(server.wait_ready())
            time.sleep(2.0)
        problems = server.log_problems()
    found = LoadResult(
        {
            "restarts": times,
            "calls": dict(load.calls),
            "failed": len(load.errors),
            "errors": load.errors[:10],
            "exit_statuses": dict(Counter(map(str, statuses))),
            "stopped_s": _spread(stopped),
            "ready_s": _spread(ready),
            "longest_call_s": round(max(load.seconds), 1),
        }
    )
    found.check(not load.errors, f"{len(load.errors)} calls failed")
    found.check(not any(statuses), f"exit statuses {statuses}")
    found.check(not problems, f"in the log: {problems[:3]}")
    return found


def kills(store: Path, work: Path, size: float) -> LoadResult:
    """Send SIGKILL and start again, under the load of readers."""
    times = max(2, int(20 * size))
    ready = []
    with serving(_settings(store), work) as server:
        load = SteadyLoad(server.address)
        with load.running("retrieve", "answer", "retrieve", "answer"):
            for _ in tqdm(range(times), desc="kills", mininterval=1.0):
                time.sleep(1.0)
                server.kill()
                server.restart()
                ready.append(server.wait_ready())
            time.sleep(2.0)
    damaged = list(verify(store).problems)
    found = LoadResult(
        {
            "kills": times,
            "calls": dict(load.calls),
            "failed": len(load.errors),
            "errors": load.errors[:10],
            "ready_s": _spread(ready),
            "longest_call_s": round(max(load.seconds), 1),
        }
    )
    found.check(not load.errors, f"{len(load.errors)} reads failed")
    found.check(not damaged, f"the store is damaged: {damaged}")
    return found


def swaps(store: Path, work: Path, size: float) -> LoadResult:
    """Build new generations of the index in another process, under load."""
    times = max(3, int(50 * size))
    published = served_store.build(store, _marked(2))  # the store has a generation already
    with serving(_settings(store), work) as server:
        load = SteadyLoad(server.address)
        with load.running(*["retrieve", "answer"] * 4):
            for _ in tqdm(range(times), desc="swaps", mininterval=1.0):
                published = served_store.build(store, _marked(published + 1))
                time.sleep(0.2)
            time.sleep(2.0)
        memory = server.rss_mb()
        problems = server.log_problems()
    found = LoadResult(
        {
            "swaps": times,
            "calls": dict(load.calls),
            "failed": len(load.errors),
            "errors": load.errors[:10],
            "mixed": len(load.mixed),
            "generations_seen": len(load.generations),
            "p50_ms": percentile_ms(load.seconds, 0.5),
            "p99_ms": percentile_ms(load.seconds, 0.99),
            "memory_mb": round(memory),
        }
    )
    found.check(not load.errors, f"{len(load.errors)} calls failed: {load.errors[:3]}")
    found.check(not load.mixed, f"responses of two generations: {load.mixed[:3]}")
    found.check(published in load.generations, "the last generation is not served")
    found.check(len(load.generations) > times // 2, "the callers saw few of the generations")
    found.check(not problems, f"in the log: {problems[:3]}")
    return found


def compactions(store: Path, work: Path, size: float) -> LoadResult:
    """Delete half of a store again and again, which the server then compacts, under load."""
    times = max(2, int(10 * size))
    service = {"allow_writes": True, "compact_after_s": 0.5}
    bulk = [DocumentInput(f"bulk/{number}", f"{words(number)}.") for number in range(_BULK)]
    waste, took = [], []
    with serving(ServedSettings(store, step_s=0.005, words=5, service=service), work) as server:
        load = SteadyLoad(server.address)
        with load.running(*["retrieve", "answer"] * 4), Client(server.address) as client:
            for _ in tqdm(range(times), desc="compactions", mininterval=1.0):
                client.upsert(bulk, timeout=_TIMEOUT_S)
                written = client.delete([document.id for document in bulk]).generation
                waste.append(measure_waste(store))
                began = time.monotonic()
                while client.stats().generation == written and time.monotonic() < began + 30:
                    time.sleep(0.05)
                took.append(time.monotonic() - began)
            documents = client.stats().documents
        problems = server.log_problems()
        left = measure_waste(store)
    damaged = list(verify(store).problems)
    found = LoadResult(
        {
            "compactions": times,
            "calls": dict(load.calls),
            "failed": len(load.errors),
            "errors": load.errors[:10],
            "wasted_before": round(min(waste), 2),
            "wasted_after": round(left, 2),
            "compacted_after_s": _spread(took),
            "p50_ms": percentile_ms(load.seconds, 0.5),
            "p99_ms": percentile_ms(load.seconds, 0.99),
        }
    )
    found.check(not load.errors, f"{len(load.errors)} calls failed: {load.errors[:3]}")
    found.check(max(took) < 30, "a wasteful store is not compacted within 30 s")
    found.check(left < min(waste), f"the store is as wasteful as before: {left:.2f}")
    found.check(documents == _TOPICS, f"{documents} documents instead of {_TOPICS}")
    found.check(not damaged, f"the store is damaged: {damaged}")
    found.check(not problems, f"in the log: {problems[:3]}")
    return found


def _settings(store: Path) -> ServedSettings:
    return ServedSettings(store, step_s=0.005, words=5, service={"drain_s": 10.0})


def _marked(generation: int) -> list[Document]:
    """Return documents that say which generation they are of."""
    return [
        Document(
            id=f"marked/{number}",
            text=f"Text {number} of generation {generation}: {words(number)}.",
            metadata={"generation": generation},
        )
        for number in range(_MARKED)
    ]


def _spread(seconds: list[float]) -> dict[str, float]:
    return {
        "median": round(median(seconds), 2),
        "max": round(max(seconds), 2),
    }
