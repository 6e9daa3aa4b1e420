"""The ExpertRAG paper's cost formula with its expert term, predicted against measured.

    python lab/benchmarks/eval_cost.py --data DATA --json FILE [--systems NAME ...] [--quick]

Gumaan (2025) compares ExpertRAG with a closed-book model, with standard RAG (which always
retrieves, with a dense model) and with a mixture of experts (which never does). Here:

    default   the default language model, which is dense, with its gate: NEVER, ALWAYS and AUTO;
              its ALWAYS is standard RAG, its NEVER the closed-book model
    reader    the small default, a dense base with an expert for each domain: the same modes
    dense     the reader's base without its experts: NEVER, and ALWAYS as standard RAG
    mixture   the shipped mixture of experts: NEVER

Questions are those of test splits with accepted answers, and as many that no store was made for:
general knowledge and everyday requests. Every answer comes from the pipeline as served, greedy,
with an empty prefix cache, in modes that take turns; seconds are those of the clock. Seconds of the
model are predicted from its weights and the engine's counters (``expertrag_lab.eval.active``) with
two constants, which are fitted to questions of the train splits, asked among the measured ones.
``transferred`` uses those of ``dense`` instead, which knows nothing about the system's experts.

Bytes of weights are predicted from shapes, and measured by ``cost_bytes.py``. A file named by
``--json`` keeps systems that are not run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import results_file
from eval_answers import answerable, config_of
from results_table import head

from expertrag import models
from expertrag.api.errors import ExpertRAGError
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateMode, Sampling
from expertrag.cli.progress import progress
from expertrag.llm.base import Generator
from expertrag.llm.load.loading import quiet
from expertrag.llm.weights import WeightUse
from expertrag_index.types import Progress
from expertrag_lab.data.datasets import Query, load_dataset, sample
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.active import CostedAnswer, MachineCosts, ModelWork, compare_costs, formula
from expertrag_lab.eval.serving import Opened, open_pipeline_for
from expertrag_lab.metrics import squad

SETS = ("squad2", "popqa", "pubmedqa")
TRIVIA = "openqa"
ELSEWHERE = {TRIVIA: TRIVIA, "everyday": str(Path(__file__).parent / "everyday")}
"""Questions that no store was made for, by their folder in DATA."""
TOKENS, PASSAGES = 25, 5
QUESTIONS, CALIBRATION = 20, 12
QUICK = 2
REST_S = 0.1
"""Longer than a step of a single token."""
CALIBRATED = "calibration"
"""Kind of the questions of train splits."""
CALIBRATION_MODES = (GateMode.NEVER, GateMode.ALWAYS)
SYSTEMS: Mapping[str, tuple[str, tuple[GateMode, ...]]] = {
    "default": (models.LARGE, (GateMode.NEVER, GateMode.ALWAYS, GateMode.AUTO)),
    "dense": (models.SMALL, (GateMode.NEVER, GateMode.ALWAYS)),
    "reader": (models.SMALL, (GateMode.NEVER, GateMode.ALWAYS, GateMode.AUTO)),
    "mixture": ("smollm2-135m-instruct-moe", (GateMode.NEVER,)),
}
"""Language model, and the modes that are measured."""
ALIKE = ("reader", "mixture")
"""Systems with the number format of ``dense``, whose constants they can use."""
CODE = (
    *results_file.ANSWERS,
    "lab/expertrag_lab/eval/active.py",
    "lab/benchmarks/eval_cost.py",
    "lab/benchmarks/cost_bytes.py",
)


def main() -> None:
    """Measure the systems, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="per set and kind")
    parser.add_argument(
        "--calibration", type=int, default=CALIBRATION, help="per set, and of no set"
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} of each, to see it run")
    given = parser.parse_args()
    if given.quick:
        given.questions = given.calibration = QUICK
    found: dict[str, Any] = results_file.read(given.json).get("systems", {})
    for name in given.systems:
        with progress() as report, quiet(), folder_of(name) as folder:
            found[name] = measured(name, folder, given, report)
        for other in found.keys() & set(ALIKE) if "dense" in found else ():
            found[other]["transferred"] = transferred(found[other], found["dense"])
        body = {"systems": {known: found[known] for known in SYSTEMS if known in found}}
        results_file.write(given.json, body, CODE, (name,))
        print("\n".join((f"\n{name}\n", *rows(found[name]))), flush=True)


@contextlib.contextmanager
def folder_of(system: str) -> Iterator[Path]:
    """Give the folder of a system's language model: of ``dense``, the base of the reader."""
    folder = models.path(SYSTEMS[system][0])
    if system != "dense":
        yield folder
        return
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / f"{folder.name}-base"
        base.mkdir()
        for file in folder.iterdir():
            if file.is_file():
                (base / file.name).symlink_to(file.resolve())
        yield base


def measured(
    system: str, folder: Path, given: argparse.Namespace, report: Progress
) -> dict[str, JSON]:
    """Ask one system all questions; return its figures."""
    modes = SYSTEMS[system][1]
    answers: list[CostedAnswer] = []
    inputs: dict[str, JSON] = {}
    use: WeightUse | None = None
    for place, name in enumerate(given.sets):
        dataset = load_dataset(given.data / name, "test")
        own, calibration = questions(given, name, place)
        with open_pipeline_for(dataset, config_of(str(folder)), given.work, report) as opened:
            bench = Bench(opened, modes, f"{system}, {name}", report)
            answers += bench.answers(own, calibration)
            inputs[name] = {**opened.inputs, "queries": dataset.sha256}
            use = bench.use
    assert use is not None, "there is a set"
    return {
        "model": SYSTEMS[system][0],
        "inputs": inputs,
        "weights": weights(use, folder),
        **figures(answers, modes),
    }


def questions(
    given: argparse.Namespace, name: str, place: int
) -> tuple[list[tuple[str, Query]], list[Query]]:
    """Return a set's questions, with a share of those of no set, and those for calibration."""
    tests = load_dataset(given.data / name, "test")
    own = [(name, query) for query in answerable(tests, given.questions)]
    for kind, folder in ELSEWHERE.items():
        drawn = sample(load_dataset(given.data / folder, "test").queries, given.questions, 0)
        own += [(kind, query) for query in drawn[place :: len(given.sets)]]
    others = load_dataset(given.data / TRIVIA, "train").queries
    calibration = [
        *answerable(load_dataset(given.data / name, "train"), given.calibration),
        *sample(others, given.calibration, 0)[place :: len(given.sets)],
    ]
    return own, calibration


@dataclass(slots=True)
class Bench:
    """Asks questions about one store, and notes what each answer costs."""

    opened: Opened
    modes: Sequence[GateMode]
    name: str
    report: Progress
    use: WeightUse = field(init=False)
    adapter: str | None = field(init=False)

    def __post_init__(self) -> None:
        use = self.opened.generator.weights()
        if use is None:
            raise SystemExit("the language model does not run on our engine: use another")
        self.use = use
        self.adapter = adapter_of(use)

    def answers(
        self, own: Sequence[tuple[str, Query]], calibration: Sequence[Query]
    ) -> Iterator[CostedAnswer]:
        """Answer in all modes, in turns; questions for calibration are among the others."""
        with contextlib.suppress(ExpertRAGError):  # warm-up
            self._answer("", calibration[0], self.modes[-1])
        turns = [(kind, query, self.modes) for kind, query in own]
        turns += [(CALIBRATED, query, CALIBRATION_MODES) for query in calibration]
        random.Random(0).shuffle(turns)  # what else the machine does changes with time
        for number, (kind, query, modes) in enumerate(turns):
            self.report(self.name, number, len(turns))
            turn = number % len(modes)
            for mode in (*modes[turn:], *modes[:turn]):
                yield self._answer(kind, query, mode)
        self.report(self.name, len(turns), len(turns))

    def _answer(self, kind: str, query: Query, mode: GateMode) -> CostedAnswer:
        generator = self.opened.generator
        before = settled(generator)
        request = AnswerRequest(query.text, mode=mode, k=PASSAGES, sampling=Sampling(TOKENS))
        generator.reset_prefix_cache()
        started = time.perf_counter()
        answer = fold(self.opened.pipeline.answer(request))
        seconds = time.perf_counter() - started
        work = ModelWork.between(before, settled(generator), answer.usage.lm_calls)
        adapter = self.adapter if answer.decision.retrieve else None
        return CostedAnswer(
            id=f"{kind}/{query.id}",
            kind=kind,
            mode=str(mode),
            retrieved=answer.decision.retrieve,
            seconds=seconds,
            stages=answer.usage.stage_seconds,
            operations=work.operations(self.use, adapter),
            bytes=work.bytes(self.use, adapter),
            experts=work.experts,
            right=squad.right(answer.text, query.answers) if query.answers else None,
        )


def settled(generator: Generator) -> Mapping[str, int]:
    """Return the engine's counters once it rests: an answer may end before the last step does."""
    found: Mapping[str, int] = {}
    while found != (now := generator.counters()):
        found = now
        time.sleep(REST_S)
    return found


def adapter_of(use: WeightUse) -> str | None:
    """Return the largest of a reader's experts: those of domains are alike; None without any."""
    return max(use.adapters, key=lambda name: use.adapters[name].parameters, default=None)


def figures(answers: Sequence[CostedAnswer], modes: Sequence[GateMode]) -> dict[str, JSON]:
    """Predict and compare, mode by mode; AUTO by the whole formula, too."""
    costs = MachineCosts.fit([one for one in answers if one.kind == CALIBRATED])
    asked = [one for one in answers if one.kind != CALIBRATED]
    by_mode = {mode: {one.id: one for one in asked if one.mode == mode} for mode in modes}
    found: dict[str, JSON] = {
        "costs": {"per_operation": costs.per_operation, "per_byte": costs.per_byte},
        "modes": {
            mode: compare_costs(list(some.values()), costs) for mode, some in by_mode.items()
        },
    }
    if GateMode.AUTO in by_mode:
        auto = list(by_mode[GateMode.AUTO].values())
        given = auto, by_mode[GateMode.NEVER], by_mode[GateMode.ALWAYS]
        found["formula"] = formula(*given, costs)
        found["rates"] = {
            kind: sum(one.retrieved for one in auto if one.kind == kind)
            / sum(one.kind == kind for one in auto)
            for kind in dict.fromkeys(one.kind for one in auto)
        }
    return found


def transferred(system: Mapping[str, Any], dense: Mapping[str, Any]) -> dict[str, JSON]:
    """Predict mean seconds of a system with experts by the constants of the dense model."""
    costs = MachineCosts(**dense["costs"])
    found: dict[str, JSON] = {}
    for mode, row in system["modes"].items():
        predicted = row["other_seconds"] + costs.of(row["operations"], row["bytes"])
        found[mode] = {"predicted": predicted, "error": predicted / row["measured"] - 1}
    return found


def weights(use: WeightUse, folder: Path) -> dict[str, JSON]:
    """Compare predicted bytes with those that a process reads, and with the file."""
    adapter = adapter_of(use)
    total, active = use.total, use.active(adapter=adapter)
    command = [sys.executable, str(Path(__file__).with_name("cost_bytes.py")), str(folder)]
    command += ["--adapter", adapter] if adapter else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    read = json.loads(done.stdout)
    return {
        "parameters": total.parameters,
        "active": active.parameters,
        "experts": use.experts or len(use.adapters),
        "top_k": use.top_k or int(bool(use.adapters)),
        "capacity_gain": use.capacity_gain(adapter=adapter),
        "bytes": {"predicted": total.bytes, "measured": read["all"]},
        "bytes_of_a_token": {"predicted": active.bytes, "measured": read["step"]},
        "gain_in_bytes": {
            "predicted": total.bytes / active.bytes,
            "measured": read["all"] / read["step"],
        },
        "file_bytes": sum(file.stat().st_size for file in folder.rglob("*.safetensors")),
    }


def rows(system: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table row for each mode."""
    yield from head("mode | n | right | retrieved | measured s | predicted s | error")
    for mode, row in system["modes"].items():
        right = "-" if row["right"] is None else f"{row['right']:.2f}"
        yield (
            f"| {mode} | {row['n']} | {right} | {row['retrieved']:.2f} | {row['measured']:.3f} | "
            f"{row['predicted']:.3f} | {row['error']:+.1%} |"
        )


if __name__ == "__main__":
    main()
