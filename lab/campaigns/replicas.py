"""Replicas: readers follow one writer and are killed, and the callers notice nothing.

    make lab-campaign-replicas ARGS="--json lab/results/campaign_replicas.json"

Every server is a process of its own, with real stores and embeddings. The writer publishes
generations, whose documents say of which one they are, and pushes them to a folder. The readers
pull them; one at random of those that are up, if it is not the only one, is killed (-9) and started
again, over and over. Callers of the SDK search
all the time, over the addresses of all readers. No call may fail, no response may mix two
generations, and every reader must come to serve the last one.
"""

from __future__ import annotations

import math
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import results_file
import served_store
from load_callers import percentile_ms, words
from load_restarts import SteadyLoad
from served import ServedSettings, ServerProcess, serving
from tqdm import tqdm

from expertrag.api.errors import ExpertRAGError
from expertrag.api.types import DocumentInput
from expertrag.client import Client
from expertrag_index.upkeep.verify import verify

CODE = (
    "index/expertrag_index",
    "expertrag/serving",
    "expertrag/client",
    "expertrag/answer",
    "expertrag/grounding",
    "expertrag/stores",
    *(
        f"lab/campaigns/{part}.py"
        for part in ("replicas", "load_restarts", "served", "served_child")
    ),
)
READERS = 3
CALLERS = 16
_MARKED = 12
_LOOK_S = 0.02
_CAUGHT_UP_S = 60.0


@dataclass(slots=True)
class Outage:
    """From when a reader was killed until it was seen to serve again."""

    began: float
    ended: float = math.inf


@dataclass(slots=True)
class Watch:
    """When a reader was seen to serve each generation, and when it was away."""

    server: ServerProcess
    seen: dict[int, float] = field(default_factory=dict)
    outages: list[Outage] = field(default_factory=list)
    newest: int = 0

    def watch(self, ended: threading.Event) -> None:
        """Ask the reader which generation it serves, until the end."""
        with Client(self.server.address) as client:
            while not ended.wait(_LOOK_S):
                began = time.monotonic()
                with suppress(ExpertRAGError):
                    index = client.info(timeout=1.0).index
                    if index is not None:
                        self._note(began, index.generation)

    @property
    def is_up(self) -> bool:
        """Whether it has served since it was started."""
        return self.newest > 0 and all(away.ended < math.inf for away in self.outages)

    def staleness(self, published: Mapping[int, float], *, undisturbed: bool) -> list[float]:
        """Return the seconds until it served each generation.

        :param published: when each was published.
        :param undisturbed: of those generations meanwhile which it was up, or of the others.
        """
        return [
            self.seen[number] - at
            for number, at in published.items()
            if number in self.seen and self._was_up(at, self.seen[number]) == undisturbed
        ]

    def _note(self, asked: float, generation: int) -> None:
        now = time.monotonic()
        for outage in self.outages:
            if outage.began < asked and outage.ended == math.inf:
                outage.ended = now
        for number in range(self.newest + 1, generation + 1):
            self.seen[number] = now
        self.newest = max(self.newest, generation)

    def _was_up(self, began: float, ended: float) -> bool:
        return not any(away.began < ended and away.ended > began for away in self.outages)


def main() -> int:
    """Run the campaign; return 1 if a promise is broken."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--every-s", type=float, default=3.0, help="seconds between publications")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), given.generations, given.every_s, random.Random(given.seed))
    results_file.write(given.json, found, CODE)
    print({key: value for key, value in found.items() if key != "findings"}, file=sys.stderr)
    for problem in found["findings"]:
        print(f"broken promise: {problem}", file=sys.stderr)
    return bool(found["findings"])


def run(work: Path, generations: int, every_s: float, rng: random.Random) -> dict[str, Any]:
    """Run servers, callers and kills; return the figures."""
    began = time.monotonic()
    store, url = work / "store", str(work / "shared")
    served_store.build(store, [])  # so that every passage says its generation
    published: dict[int, float] = {}
    ended = threading.Event()
    with ExitStack() as opened:
        writing = ServedSettings(store, service={"allow_writes": True}, replica={"push": url})
        writer = opened.enter_context(serving(writing, work / "writer"))
        _publish(writer.address, 2)
        readers = [
            opened.enter_context(serving(_reader(work, number, url), work / f"reader{number}"))
            for number in range(READERS)
        ]
        watches = [Watch(reader) for reader in readers]
        load = SteadyLoad(",".join(reader.address for reader in readers))
        opened.enter_context(load.running(*["retrieve"] * CALLERS))
        beside = [*(watch.watch for watch in watches), _killer(watches, load, rng)]
        opened.enter_context(_running(beside, ended))
        for number in tqdm(range(3, generations + 3), desc="generations", mininterval=1.0):
            published[number] = _publish(writer.address, number)
            time.sleep(every_s * rng.uniform(0.5, 1.5))
        behind = _caught_up(watches, generations + 2)
        ended.set()
        logged = [line for server in (writer, *readers) for line in server.log_problems()]
    findings = _findings(load, behind, logged, [_copy(work, number) for number in range(READERS)])
    return {
        "readers": READERS,
        "callers": CALLERS,
        "generations": generations,
        "every_s": every_s,
        **_figures(load, watches, published),
        "broken": len(findings),
        "findings": findings,
        "load_average": round(os.getloadavg()[0], 1),
        "seconds": round(time.monotonic() - began, 1),
    }


def _figures(
    load: SteadyLoad, watches: Sequence[Watch], published: Mapping[int, float]
) -> dict[str, Any]:
    return {
        "kills": sum(len(watch.outages) for watch in watches),
        "calls": sum(load.calls.values()),
        "failed": len(load.errors),
        "mixed": len(load.mixed),
        "generations_seen": len(load.generations),
        "p50_ms": percentile_ms(load.seconds, 0.5),
        "p99_ms": percentile_ms(load.seconds, 0.99),
        "longest_call_s": round(max(load.seconds), 1),
        "staleness_s": {
            "reader_up": _spread(_staleness(watches, published, undisturbed=True)),
            "reader_killed": _spread(_staleness(watches, published, undisturbed=False)),
        },
    }


def _findings(
    load: SteadyLoad, behind: Sequence[int], logged: Sequence[str], copies: Sequence[Path]
) -> list[str]:
    return [
        *(f"a call failed: {error}" for error in load.errors[:5]),
        *(f"a response of two generations: {mixed}" for mixed in load.mixed[:5]),
        *(f"reader {number} does not serve the last generation" for number in behind),
        *(f"in the log: {line}" for line in logged[:3]),
        *(f"{copy.name}: {problem}" for copy in copies for problem in verify(copy).problems[:3]),
    ]


def _reader(work: Path, number: int, url: str) -> ServedSettings:
    return ServedSettings(_copy(work, number), replica={"follow": url, "every_s": 1.0})


def _copy(work: Path, number: int) -> Path:
    return work / f"copy{number}"


def _publish(address: str, number: int) -> float:
    """Publish a generation whose documents say so; return when that was done."""
    documents = [
        DocumentInput(
            f"marked/{each}",
            f"Text {each} of generation {number}: {words(each)}.",
            metadata={"generation": number},
        )
        for each in range(_MARKED)
    ]
    with Client(address) as client:
        made = client.upsert(documents).generation
    assert made == number, f"generation {made} instead of {number}"
    return time.monotonic()


@contextmanager
def _running(
    runs: Sequence[Callable[[threading.Event], None]], ended: threading.Event
) -> Iterator[None]:
    """Run functions in threads of their own, until the block ends or ``ended`` is set."""
    threads = [threading.Thread(target=run, args=(ended,)) for run in runs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _killer(
    watches: Sequence[Watch], load: SteadyLoad, rng: random.Random
) -> Callable[[threading.Event], None]:
    """Return what kills readers that are up at random moments, and starts them again."""

    def run(ended: threading.Event) -> None:
        while sum(load.calls.values()) < 4 * CALLERS:  # a client must have known its servers
            time.sleep(0.1)
        while not ended.wait(rng.uniform(2.0, 10.0)):
            up = [watch for watch in watches if watch.is_up]
            if len(up) < 2:  # callers would wait, however long a start takes
                continue
            watch = rng.choice(up)
            watch.server.kill()
            watch.outages.append(Outage(time.monotonic()))
            watch.server.restart()

    return run


def _staleness(
    watches: Sequence[Watch], published: Mapping[int, float], *, undisturbed: bool
) -> list[float]:
    return [
        seconds
        for watch in watches
        for seconds in watch.staleness(published, undisturbed=undisturbed)
    ]


def _caught_up(watches: Sequence[Watch], newest: int) -> list[int]:
    """Wait until all readers serve a generation; return those that do not."""
    until = time.monotonic() + _CAUGHT_UP_S
    while time.monotonic() < until and any(watch.newest < newest for watch in watches):
        time.sleep(0.1)
    return [number for number, watch in enumerate(watches) if watch.newest < newest]


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "count": len(seconds),
        "median": round(median(seconds), 2) if seconds else 0.0,
        "max": round(max(seconds), 2) if seconds else 0.0,
    }


if __name__ == "__main__":
    sys.exit(main())
