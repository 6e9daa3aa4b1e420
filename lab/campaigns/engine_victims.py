"""Runs a request that meets a fault beside one that does not, and looks at what is left."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from engine_scenarios import (
    BYSTANDER,
    PLAIN,
    PRESSING,
    SCENARIOS,
    Scenario,
    read,
    state_of,
)
from engine_seams import HANG_S, STEP, Caller, Dying, intercepted
from fault_campaign import Case, Seam
from small_generator import small_generator

from expertrag.api.errors import ExpertRAGError, InvalidArgument
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.engine.sequences import SequenceState

BLOCK_S = 0.03
_STALL_S = 0.01  # of the engine's watchdog, in a case that blocks
_SETTLE_S = 5.0
_PAGES, _KEPT = 6, 4
_SECRET = "planted-secret"
_MOST_LINES = 20
_THREADS = ("engine",)
_CONSTRAINED = "constrained"
ERRORS = {
    "raises": RuntimeError,
    "raises for good": RuntimeError,
    "no memory": MemoryError,
    "refuses": InvalidArgument,
    "dies": Dying,
}
_OWNED = frozenset(
    [
        "Sampler",
        "Matcher",
        "PromptLookup",
        "Outputs",
        "Caller",
        "Drawing",
        "SequenceState",
        "Scheduled",
        "Detokenizer",
        "StopFilter",
        "Spelling",
        "NativeSession",
    ]
)
"""Classes whose objects belong to one sequence: a fault of the victim's meets nobody else."""


@dataclass(slots=True)
class Left:
    """What is there between two cases: threads, descriptors, processes of constraints."""

    threads: tuple[str, ...]
    descriptors: int
    processes: int

    def exceeds(self, other: Left) -> bool:
        """Whether there is more of anything; less is what earlier work gave back late."""
        return (
            not Counter(self.threads) <= Counter(other.threads)
            or self.descriptors > other.descriptors
            or self.processes > other.processes
        )


class World:
    """An engine, its model, and the fault that its seams have now."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.called: set[Seam] = set()
        self._pool = pool
        self._generator = small_generator(_PAGES, _KEPT)
        network = self._generator._network
        assert isinstance(network, NativeNetwork), "it runs on our engine"
        self._engine = network.engine
        self._records: list[logging.LogRecord] = []
        self._case: Case | None = None
        self._counts: Counter[tuple[Seam, str, str]] | None = None
        self._scenario = ""
        self._victim: SequenceState | None = None
        self._victim_thread: int | None = None
        self._drafts = False
        self._inside = threading.local()
        self._reset()
        self._texts = {name: self._alone(scenario) for name, scenario in SCENARIOS.items()}
        self._bystander_text = self._alone(BYSTANDER)
        self._plain_text = self._alone(PLAIN)
        self._left = self._now()

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[World]:
        """Make a world, with its log kept to itself."""
        logger = logging.getLogger("expertrag.llm.engine")
        with ThreadPoolExecutor(2, "victim") as pool:
            meeting = threading.Barrier(2)  # its threads are there from the start
            list(pool.map(lambda _: meeting.wait(), range(2)))
            world = cls(pool)
            handler = _Kept(world._records)
            logger.addHandler(handler)
            logger.propagate = False
            try:
                yield world
            finally:
                logger.removeHandler(handler)
                logger.propagate = True
                world._engine.stop()

    def record(self) -> Mapping[tuple[Seam, str, str], int]:
        """Run every scenario without a fault; count the calls of each seam in each state."""
        self._counts = Counter()
        with intercepted(self.intercept):
            for name, scenario in SCENARIOS.items():
                self._scenario = name
                self._reset()
                self._together(scenario)
                self._settle()
        counts, self._counts = self._counts, None
        return counts

    def try_case(self, case: Case) -> list[str] | None:
        """Run a case; return what is wrong, or None if the fault did not come."""
        self._reset()
        self._case = case
        self._engine._stall_s = _STALL_S if case.fault == "blocks" else HANG_S
        with intercepted(self.intercept, case.seam):
            victim, bystander = self._together(SCENARIOS[case.scenario])
            self._case = None
        if not self._fired:
            return None
        with self._unwatched():
            findings = list(self._check_after(case))
        self._engine._stall_s = HANG_S
        findings += self._check_outcomes(case, victim, bystander)
        return [*findings, *self._check_reports(case)]

    def intercept(self, seam: Seam, subject: Any, call: Callable[[], Any]) -> Any:
        """Stand in for a seam; see :func:`engine_seams.intercepted`."""
        watched = self._counts is not None or (self._case is not None and seam == self._case.seam)
        comes = False
        if watched and not getattr(self._inside, "on", False):
            with self._unwatched():
                comes = self._comes(seam, subject)
        result: Any = self._faulty(call) if comes else call()
        if seam == STEP and isinstance(result, list):
            self._drafts = any(part.owner is self._victim and part.drafts for part in result)
        return result

    def memory_mib(self) -> float:
        """Return the resident memory of this process."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _reset(self) -> None:
        self._victim, self._victim_thread, self._drafts = None, None, False
        self._fired, self._matching, self._on_engine = 0, 0, False
        self._problem_seen = ""
        self._records.clear()

    @contextmanager
    def _unwatched(self) -> Iterator[None]:
        """Let the campaign itself call seams."""
        before = getattr(self._inside, "on", False)
        self._inside.on = True
        try:
            yield
        finally:
            self._inside.on = before

    def _comes(self, seam: Seam, subject: Any) -> bool:
        if seam.owner in _OWNED and not self._is_victims(seam, subject):
            return False
        state = state_of(self._victim, self._engine._scheduler, drafts=self._drafts)
        if self._counts is not None:
            self.called.add(seam)
            if self._scenario:  # the engine's thread may still check that it is idle
                self._counts[seam, self._scenario, state] += 1
            return False
        case = self._case
        if case is None or state != case.state:
            return False
        self._matching += 1
        return self._matching == case.call or (
            self._matching > case.call and case.fault == "raises for good"
        )

    def _is_victims(self, seam: Seam, subject: Any) -> bool:
        victim = self._victim
        if seam.owner in ("NativeSession", "Caller", "Detokenizer", "StopFilter", "Spelling"):
            return threading.get_ident() == self._victim_thread
        if victim is None:
            return seam.owner in ("Matcher", "Sampler") and (
                threading.get_ident() == self._victim_thread
            )
        matcher = getattr(victim.sampler, "_matcher", None)
        owned = (victim, victim.weak, victim.sampler, victim.lookup, victim.outputs, matcher)
        inner = getattr(matcher, "_matcher", None)
        return any(subject is one for one in (*owned, inner) if one is not None) or victim in (
            getattr(subject, "sequence", None),
            getattr(subject, "owner", None),
        )

    def _faulty(self, call: Callable[[], Any]) -> Any:
        case = self._case
        assert case is not None, "a case has been set"
        self._fired += 1
        self._on_engine = threading.current_thread() is self._engine._thread
        if case.fault in ERRORS:
            raise ERRORS[case.fault](_SECRET if case.fault != "refuses" else "it is refused")
        if case.fault == "blocks":
            time.sleep(BLOCK_S)
            with self._unwatched():
                self._problem_seen = self._engine.problem
            return call()
        if case.fault.startswith("kills"):
            for process in self._processes(worker=case.fault == "kills the worker"):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return call()
        return _nonsense(case.fault, call())

    def _together(self, scenario: Scenario) -> tuple[str | BaseException, str | BaseException]:
        """Run the victim and a bystander, and who takes the victim's pages if it is to be so."""
        bystander = self._pool.submit(self._run, BYSTANDER)
        self._victim_thread = threading.get_ident()
        return self._run(scenario, self._follow), bystander.result()

    def _run(
        self, scenario: Scenario, follow: Callable[[SequenceState], None] | None = None
    ) -> str | BaseException:
        try:
            return read(self._generator, scenario, Caller(), follow or _ignore, self._press)
        except BaseException as error:
            return error.with_traceback(None)

    def _follow(self, sequence: SequenceState) -> None:
        self._victim = sequence

    def _press(self) -> None:
        """Take the pages of who pauses."""
        self._pool.submit(self._run, PRESSING).result()

    def _alone(self, scenario: Scenario) -> str:
        text = self._run(scenario)
        if isinstance(text, BaseException):
            raise text
        return text

    def _check_outcomes(
        self, case: Case, victim: str | BaseException, bystander: str | BaseException
    ) -> Iterator[str]:
        nonsense = case.fault not in ERRORS
        # what was raised in a thread of a caller is raised to that caller, and nonsense may be
        raw = nonsense or not self._on_engine
        if isinstance(victim, str):
            if not nonsense and victim != self._texts[case.scenario]:
                yield f"the victim got another text: {victim!r}"
        elif _hangs(victim) or not (raw or _is_typed(victim)):
            yield f"the victim got {victim!r}"
        if bystander == self._bystander_text:
            return
        if case.seam.owner in _OWNED or _hangs(bystander) or not (raw or _is_typed(bystander)):
            yield f"the bystander got {bystander!r}"

    def _check_reports(self, case: Case) -> Iterator[str]:
        """Check what the engine has logged, and what it said of its health."""
        if self._on_engine and case.fault == "blocks" and not self._problem_seen:
            yield "the blocked engine reported no problem"
        unexpected = case.fault in ERRORS and case.fault != "refuses"
        if self._on_engine and unexpected and not self._records:
            yield "nothing was logged"
        if len(self._records) > _MOST_LINES:
            yield f"{len(self._records)} lines were logged"
        if any(_SECRET in record.getMessage() for record in self._records):
            yield "a message was logged"

    def _check_after(self, case: Case) -> Iterator[str]:
        if (plain := self._run(PLAIN)) != self._plain_text:
            yield f"the next plain question got {plain!r}"
        if case.fault == "kills the worker":
            scenario = SCENARIOS[_CONSTRAINED]
            if (text := self._run(scenario)) != self._texts[_CONSTRAINED]:
                yield f"the next constrained question got {text!r}"
        yield from self._engine.check_integrity()
        if problem := self._engine.problem:
            yield f"the engine still reports: {problem}"
        if (left := self._settle()).exceeds(self._left):
            yield f"{left} instead of {self._left}"
        self._left = left

    def _settle(self) -> Left:
        """Wait until nothing is left of the sequences; return what is."""
        until = time.monotonic() + _SETTLE_S
        while (left := self._now()).exceeds(self._left) and time.monotonic() < until:
            time.sleep(0.001)
        return left

    def _now(self) -> Left:
        return Left(
            tuple(sorted(one.name for one in threading.enumerate() if one.name in _THREADS)),
            len(os.listdir("/proc/self/fd")),
            len(self._processes()),
        )

    def _processes(self, *, worker: bool = False) -> list[int]:
        """Return the processes of constrained sequences, or the one that forks them."""
        main = self._generator._vocabulary._worker
        if main is None:
            return []
        if worker:
            return [main.pid]
        try:
            children = Path(f"/proc/{main.pid}/task/{main.pid}/children").read_text()
        except OSError:
            return []
        return list(map(int, children.split()))


class _Kept(logging.Handler):
    """Keeps the records of a log."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._kept = records

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(record)


def _is_typed(result: str | BaseException) -> bool:
    """Whether a caller got an error that quotes nothing."""
    return isinstance(result, ExpertRAGError) and _SECRET not in str(result)


def _hangs(result: str | BaseException) -> bool:
    """Whether a caller has waited until it gave up."""
    return "the engine hangs" in str(result)


def _ignore(_sequence: SequenceState) -> None:
    """Follow nothing."""


def _nonsense(fault: str, result: Any) -> Any:
    if fault == "nan":
        return _spoilt(result)
    if fault == "shorter":
        return result[:-1] if isinstance(result, (str, bytes, list, tuple, torch.Tensor)) else ()
    return {"None": None, "-1": -1, "10**9": 10**9, "text": _SECRET}[fault]


def _spoilt(result: Any) -> Any:
    """Replace the numbers of a result by "not a number"."""
    if isinstance(result, torch.Tensor):
        return torch.full(result.shape, math.nan)
    if isinstance(result, (list, tuple)):
        return type(result)(map(_spoilt, result))
    return math.nan
