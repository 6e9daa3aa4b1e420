"""A stream of questions of mixed domains, answered by each domain's experts in half the memory.

    python lab/benchmarks/bench_patterns.py --data DATA --fixture FOLDER --json FILE

On the mixture of ``fixture_moe.py``, whose experts are widened as in ``residency_trained.py``, in
int4; it is trained first if FOLDER does not exist. A domain's pattern has half of each layer's
experts, by a profile of its train prompts. Questions are test prompts, or the beginnings of test
texts of domains without prompts; each is answered greedily, one after the other, with its domain
known. ``full`` has all experts in memory. ``half`` and ``patterns`` have memory for half of them,
which is empty at the start, and read the others from the file, past the system's cache;
``patterns`` lets routers choose among the domain's experts only. Losses are of the right replies,
or of the rest of the texts; ``other`` are patterns of another domain. ``next`` is the share of the
tokens of these at which the likeliest one is that of all experts.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import eval_surgery
import numpy as np
import residency_trained as widened
import results_file
from pattern_questions import PatternQuestion, RightAnswer, answered, in_order, questions_of, read
from residency_model import Mixture
from routing_tables import patterns as table
from surgery_stats import Losses, by_domain, rise

from expertrag.cli.progress import progress
from expertrag.llm.engine.engine import Engine
from expertrag.llm.expert_pattern import ExpertPattern
from expertrag.llm.load.loading import quiet
from expertrag_index.types import Progress
from expertrag_kernels.residency import ExpertReads
from expertrag_lab.metrics.stats import estimate
from expertrag_lab.surgery.profiling.importance import ExpertProfile
from expertrag_lab.surgery.served_patterns import patterns_of

SHARE = 0.5
STAYS = {"mixed": 1, "in runs of 8": 8}
"""Orders of the stream: questions of a domain that come one after the other."""
FULL, HALF, PATTERNS, OTHER = "full", "half", "patterns", "other"
CODE = (
    *eval_surgery.CODE,
    "expertrag/llm/expert_pattern.py",
    "lab/expertrag_lab/surgery/served_patterns.py",
    "lab/benchmarks/bench_patterns.py",
    "lab/benchmarks/pattern_questions.py",
    "lab/benchmarks/residency_model.py",
    "lab/benchmarks/residency_trained.py",
)

Patterns = Mapping[str, ExpertPattern]
"""By domain; empty for all experts."""


@dataclass(frozen=True, slots=True)
class PatternsSize:
    """The training of the fixture, what is profiled and asked of each domain, and rounds."""

    training: str
    profiled: int
    asked: int
    rounds: int


SIZES = {
    True: PatternsSize("tiny", 4, 2, 1),  # --quick: to see that it runs
    False: PatternsSize("full", 100, 8, 3),
}


def main() -> None:
    """Measure, print the table, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--fixture", type=Path, help="folder of the mixture; default: in --work")
    parser.add_argument("--quick", action="store_true", help="as small as it goes")
    given = parser.parse_args()
    size = SIZES[given.quick]
    folder = given.fixture or given.work / f"fixture-{size.training}"
    with progress() as report, quiet():
        eval_surgery.trained_fixture(given.data, folder, size.training, report)
        drawn = eval_surgery.SurgerySize(size.profiled, size.asked, 0, 0)
        surgery, held = eval_surgery.prepared(given.data, folder, drawn, report)
        given.work.mkdir(parents=True, exist_ok=True)
        # not in a folder for temporary files, which may be in memory
        with tempfile.TemporaryDirectory(dir=given.work) as scratch:
            widened.write_model(folder, given.data, Path(scratch))
            ends = frozenset({int(surgery.mixture.tokenizer.eos_token_id)})
            bench = PatternBench(Path(scratch), surgery.profile, questions_of(held), ends)
            body = bench.measured(size.rounds, report)
    print("\n".join(table(body)))
    results_file.write(given.json, body, CODE)


class PatternBench:
    """A widened mixture, its patterns, and the questions."""

    def __init__(
        self,
        folder: Path,
        profile: ExpertProfile,
        questions: Sequence[PatternQuestion],
        ends: frozenset[int],
    ) -> None:
        self._folder = folder
        self._questions = questions
        self._ends = ends
        self._mixture = widened.planned(folder, limited=True)
        self._own = patterns_of(profile, self._mixture.decoder.routers, SHARE)
        names = list(self._own)
        self._other = {name: self._own[names[at - 1]] for at, name in enumerate(names)}

    def measured(self, rounds: int, report: Progress) -> dict[str, Any]:
        """Answer all streams in all ways, in turns; return the figures."""
        ways: dict[str, tuple[Patterns, bool]] = {
            FULL: ({}, False),
            HALF: ({}, True),
            PATTERNS: (self._own, True),
        }
        runs: dict[str, dict[str, list[dict[str, Any]]]] = {
            order: {way: [] for way in ways} for order in STAYS
        }
        said: dict[str, list[list[int]]] = {}
        turns = [(order, way) for _ in range(rounds) for order in STAYS for way in ways]
        for done, (order, way) in enumerate(turns):
            report("answers", done, len(turns))
            run, said[way] = self._run(in_order(self._questions, STAYS[order]), *ways[way])
            runs[order][way].append(run)
        report("answers", len(turns), len(turns))
        assert said[HALF] == said[FULL], "memory changes no token"
        said[OTHER] = self._run(in_order(self._questions, max(STAYS.values())), self._other)[1]
        mixture = self._mixture
        return {
            "share": SHARE,
            "questions": len(self._questions),
            "domains": list(self._own),
            "experts": mixture.experts * mixture.layers,
            "top_k": mixture.top_k,
            "experts_gib": _whole(mixture) / 2**30,
            "orders": {
                order: {way: _figures(some) for way, some in by_way.items()}
                for order, by_way in runs.items()
            },
            "same": {
                way: asdict(estimate([float(a == b) for a, b in zip(own, said[FULL], strict=True)]))
                for way, own in said.items()
            },
            **self._right_answers(report),
        }

    def _run(
        self, stream: Sequence[PatternQuestion], patterns: Patterns, half: bool = False
    ) -> tuple[dict[str, Any], list[list[int]]]:
        """Answer a stream; return what it took, and the answers in the order of the questions."""
        mixture = widened.planned(self._folder, limited=half)
        if half:
            mixture.decoder.limit_experts(int(SHARE * _whole(mixture)))
        engine = Engine(mixture.decoder, threads=len(os.sched_getaffinity(0)))
        said: dict[PatternQuestion, list[int]] = {}
        began = time.perf_counter()
        try:
            for item in stream:
                said[item] = answered(engine, item, patterns.get(item.domain), self._ends)
        finally:
            engine.stop()
        seconds = time.perf_counter() - began
        reads = mixture.decoder.expert_reads or ExpertReads()
        tokens = sum(map(len, said.values()))
        return (
            {"seconds": seconds, "tokens": tokens, **asdict(reads)},
            [said[item] for item in self._questions],
        )

    def _right_answers(self, report: Progress) -> dict[str, Any]:
        """Return the loss with all experts, and with patterns how it rises and what is the same."""
        engine = Engine(widened.planned(self._folder, limited=False).decoder)
        sides: dict[str, list[RightAnswer]] = {}
        ways: dict[str, Patterns] = {FULL: {}, PATTERNS: self._own, OTHER: self._other}
        try:
            for done, (way, patterns) in enumerate(ways.items()):
                report("losses", done, len(ways))
                sides[way] = [
                    read(engine, item, patterns.get(item.domain)) for item in self._questions
                ]
        finally:
            engine.stop()
        report("losses", len(ways), len(ways))
        losses = {way: self._by_domain([item.loss for item in own]) for way, own in sides.items()}
        full = losses[FULL]
        tokens = sum(len(item.right) for item in self._questions)
        found: dict[str, Any] = {
            "loss": {FULL: sum(float(values.sum()) for values in full.values()) / tokens},
            "next": {},
        }
        for way in (PATTERNS, OTHER):
            risen = asdict(rise(full, full, losses[way]))
            found["loss"][way] = {**risen, "domains": by_domain(full, losses[way])}
            both = zip(sides[way], sides[FULL], strict=True)
            same = [float((one.likeliest == other.likeliest).float().mean()) for one, other in both]
            found["next"][way] = asdict(estimate(same))
        return found

    def _by_domain(self, losses: Sequence[float]) -> Losses:
        found: dict[str, list[float]] = {name: [] for name in self._own}
        for item, loss in zip(self._questions, losses, strict=True):
            found[item.domain].append(loss)
        return {name: np.array(values) for name, values in found.items()}


def _whole(mixture: Mixture) -> int:
    """Bytes of all experts in memory."""
    least = mixture.decoder.least_experts_bytes
    return least // mixture.top_k * mixture.experts * mixture.layers


def _figures(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the medians of a way's runs, per answer where they are sums."""

    def middle(name: str) -> float:
        return statistics.median(float(run[name]) for run in runs)

    speeds = [run["tokens"] / run["seconds"] for run in runs]
    found = {"tokens_per_s": statistics.median(speeds), "tokens_per_s_of_runs": speeds}
    if uses := middle("hits") + middle("misses"):
        found |= {
            "hit_rate": middle("hits") / uses,
            "read_mb": middle("bytes_read") / 1e6,
            "stalled_s": middle("stalled_seconds"),
        }
    return found


if __name__ == "__main__":
    main()
