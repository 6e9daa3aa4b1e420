"""The gate in a running system: default models, one store, questions that need it and others.

    python lab/benchmarks/live_gate.py --data DATA --questions 60 --json FILE

One store contains the corpora of squad2, hotpotqa and popqa. Questions are from these data sets,
from openqa (which no document of the store was made for), and everyday requests that need no
document. Each is answered closed book and with retrieval; answers are kept, so an interrupted run
can be resumed. A gate is fitted on the train questions and decides on the test questions; times are
measured in the run itself, by stage.

    policies   never, always, the training-free and the fitted gate, the oracle: accuracy over the
               questions with answers, retrieval rate and seconds over all
    signals    the fitted gate by groups of signals, and without those of the MoE's router
    overhead   of deciding, as a share of the mean answer
    intervals  95 %, of 1,000 bootstrap draws of the test questions: accuracy of the fitted gate
               minus always, and AUC(benefit) with the router's signals minus without
"""

from __future__ import annotations

import hashlib
import json
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import results_file
from numpy.typing import NDArray
from reader_figures import bootstrapped

from expertrag.cli.progress import progress
from expertrag.config import TRAINING_FREE, Config, GateConfig
from expertrag.llm.load.loading import quiet
from expertrag_lab.data.datasets import Dataset, Query, load_dataset
from expertrag_lab.data.types import Row, RowSet
from expertrag_lab.eval.policies import outcome
from expertrag_lab.eval.questions import Asked
from expertrag_lab.eval.record import Recording, record
from expertrag_lab.eval.serving import open_pipeline_for
from expertrag_lab.json_lines import read_lines
from expertrag_lab.metrics.calibration import auc
from expertrag_lab.metrics.squad import contains
from expertrag_lab.train.gate.fit import COST
from expertrag_lab.train.gate.learners import GRID
from expertrag_lab.train.gate.material import best_threshold, material
from expertrag_lab.train.gate.predictor import fit_predictor
from expertrag_lab.train.gate.source import open_source
from expertrag_retriever.gate.signals import SignalGroup, Signals

SETS = ("squad2", "hotpotqa", "popqa")

EVERYDAY = Path(__file__).parent / "everyday_requests.txt"
LIVE = (SignalGroup.QUESTION, SignalGroup.STORE, SignalGroup.PREFILL)
ROUTER = "router_"

Bools = NDArray[np.bool_]
CODE = (
    *results_file.ANSWERS,
    "lab/expertrag_lab/train/gate",
    "lab/benchmarks/live_gate.py",
    "lab/benchmarks/everyday_requests.txt",
    "lab/benchmarks/reader_figures.py",
)


def main() -> None:
    """Record answers, fit the gate, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--questions", type=int, default=60, help="questions per set and split")
    given = parser.parse_args()
    work = given.work / "live"
    store = joint_store(given.data, work)
    config = Config(index=str(store), gate=GateConfig(bundle=TRAINING_FREE))
    rows: dict[str, list[RowSet]] = {}
    with progress() as report, quiet():
        for split in ("train", "test"):
            rows[split] = []
            for dataset in datasets(given.data, split, given.questions):
                with open_pipeline_for(dataset, config, given.work, report) as opened:
                    asked = Asked(dataset, dataset.queries, opened, given.work)
                    path = work / f"{dataset.name}-{split}.jsonl"
                    rows[split].append(record(asked, Recording(), path, report))
        body = measured(rows["train"], rows["test"], config, given.work, report)
    print(json.dumps(body, indent=1))
    results_file.write(given.json, body, CODE)


def joint_store(data: Path, work: Path) -> Path:
    """Build one store from the corpora of all data sets; ids are SET/ID."""
    corpus = work / "joint" / "corpus.jsonl"
    if not corpus.is_file():
        corpus.parent.mkdir(parents=True, exist_ok=True)
        partial = corpus.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as out:
            for name in SETS:
                for _, item in read_lines(data / name / "corpus.jsonl.gz")[0]:
                    out.write(json.dumps({**item, "_id": f"{name}/{item['_id']}"}) + "\n")
        partial.replace(corpus)
    store = work / "store"
    command = ("-m", "expertrag", "index", "build", str(corpus.parent), "--out", str(store))
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return store


def datasets(data: Path, split: str, count: int) -> Iterator[Dataset]:
    """Yield the questions of a split: of every data set, of openqa, and everyday requests."""
    for name in (*SETS, "openqa"):
        queries = [item for item in load_dataset(data / name, split).queries if item.answers]
        yield dataset_of(name, data / name, split, queries, count)
    requests = EVERYDAY.read_text(encoding="utf-8").splitlines()
    half = [text for place, text in enumerate(requests) if place % 2 == (split == "test")]
    everyday = [
        Query(f"everyday-{split}-{place}", text, None, {"needs_documents": False})
        for place, text in enumerate(half)
    ]
    yield dataset_of("everyday", EVERYDAY.parent, split, everyday, count)


def dataset_of(
    name: str, folder: Path, split: str, queries: Sequence[Query], count: int
) -> Dataset:
    """Draw ``count`` queries."""
    drawn = random.Random(0).sample(sorted(queries, key=lambda query: query.id), len(queries))
    chosen = tuple(drawn[:count])
    # hash all of them, so that a run with more questions reuses the rows of one with fewer
    digest = hashlib.sha256(repr([(query.id, query.text) for query in drawn]).encode())
    return Dataset(name, folder, split, chosen, {}, (), digest.hexdigest())


def measured(
    train: Sequence[RowSet], test: Sequence[RowSet], config: Config, work: Path, report: Any
) -> dict[str, Any]:
    """Fit on train rows and decide on test rows."""
    source = open_source(LIVE, config.model, work)
    learned, asked = material(train, source, report), material(test, source, report)
    rows = [
        row for row_set in test for row in row_set.rows if row.answers or not row.needs_documents
    ]
    found: dict[str, Any] = {"train": len(learned.right), "test": len(rows), "policies": {}}
    found["sets"] = {
        row_set.name: {"questions": len(row_set.rows), **correct(row_set.rows)} for row_set in test
    }
    decisions: dict[str, Bools] = {
        "never": np.zeros(len(rows), bool),
        "always": np.ones(len(rows), bool),
        "training-free": np.array([free(row) for row in rows]),
        "oracle": asked.benefit,
    }
    found["signals"] = {}
    benefit = {}
    for name, groups, without in (
        ("all", LIVE, ""),
        ("without router", LIVE, ROUTER),
        ("question", LIVE[:1], ""),
        ("store", LIVE[1:2], ""),
        ("prefill", LIVE[2:], ""),
    ):
        fitted = fit_predictor(
            [stripped(item, without) for item in learned.signals],
            learned.right,
            groups=groups,
            models=tuple(GRID),
            progress=report,
        )
        threshold = best_threshold(fitted.predicted, learned, COST)
        said = fitted.predictor.predict([stripped(item, without) for item in asked.signals])
        benefit[name] = said.benefit
        found["signals"][name] = {
            "model": fitted.candidates[0].name,
            "auc_benefit": auc(said.benefit.tolist(), asked.benefit.tolist()),
        }
        if name == "all":
            decisions["fitted"] = said.benefit >= threshold
    for name, retrieved in decisions.items():
        found["policies"][name] = policy(name, rows, retrieved)
    found["overhead"] = overhead(rows)
    found["intervals"] = intervals(rows, decisions["fitted"], benefit, asked.benefit)
    return found


def intervals(
    rows: Sequence[Row], retrieved: Bools, benefit: Mapping[str, NDArray[np.float64]], truth: Bools
) -> dict[str, tuple[float, float]]:
    """Intervals of the two differences in the acceptance criteria."""
    gains = np.array(
        [
            contains(row.one_step if open_book else row.never, row.answers)
            - contains(row.one_step, row.answers)
            for row, open_book in zip(rows, retrieved.tolist(), strict=True)
            if row.answers
        ],
        float,
    )

    def gain(chosen: NDArray[np.intp]) -> float | None:
        labels = truth[chosen].tolist()
        all_, without = (
            auc(benefit[name][chosen].tolist(), labels) for name in ("all", "without router")
        )
        return None if all_ is None or without is None else all_ - without

    accuracy = bootstrapped(lambda chosen: float(gains[chosen].mean()), len(gains))
    router = bootstrapped(gain, len(truth))
    assert accuracy and router, "there are rows of both kinds"
    return {"fitted - always": (accuracy.low, accuracy.high), "router": (router.low, router.high)}


def stripped(signals: Signals, prefix: str) -> Signals:
    """Drop the signals whose name starts with ``prefix``."""
    if not prefix:
        return signals
    return Signals(
        {k: v for k, v in signals.numbers.items() if not k.startswith(prefix)},
        {k: v for k, v in signals.vectors.items() if not k.startswith(prefix)},
    )


def free(row: Row) -> bool:
    """Whether the training-free gate, which the row was recorded with, retrieves."""
    assert row.recorded is not None
    return row.recorded.gate.p_benefit >= row.recorded.gate.threshold


def policy(name: str, rows: Sequence[Row], retrieved: Bools) -> dict[str, float]:
    """Accuracy over rows with answers; rate and mean seconds over all."""
    right, seconds = [], []
    for row, open_book in zip(rows, retrieved.tolist(), strict=True):
        if row.answers:
            right.append(contains(row.one_step if open_book else row.never, row.answers))
        kind = ("always" if open_book else "never") if name in {"never", "always"} else "auto"
        seconds.append(spent(row, kind, open_book))
    return {
        "accuracy": statistics.fmean(right),
        "retrieval_rate": float(retrieved.mean()),
        "seconds": statistics.fmean(seconds),
    }


def spent(row: Row, kind: str, open_book: bool) -> float:
    """Seconds of an answer, plus those of the gate if it decides."""
    assert row.recorded is not None
    gate = replace(row.recorded.gate, p_benefit=float(open_book), threshold=0.5)
    decided = replace(row, recorded=replace(row.recorded, gate=gate))
    return sum(outcome(kind, decided).stage_seconds.values())


def overhead(rows: Sequence[Row]) -> dict[str, float]:
    """Mean seconds to compute the store signals and decide, and of an answer with retrieval."""
    recorded = [row.recorded for row in rows if row.recorded]
    gate = statistics.fmean(item.gate.stage_seconds["gate"] for item in recorded)
    answer = statistics.fmean(sum(item.one_step.stage_seconds.values()) for item in recorded)
    return {"gate_seconds": gate, "answer_seconds": answer, "share": gate / answer}


def correct(rows: Sequence[Row]) -> dict[str, float | None]:
    """Share of right answers both ways; None without accepted answers."""
    scored = [row for row in rows if row.answers]
    if not scored:
        return {"never": None, "always": None}
    return {
        "never": statistics.fmean(contains(row.never, row.answers or ()) for row in scored),
        "always": statistics.fmean(contains(row.one_step, row.answers or ()) for row in scored),
    }


if __name__ == "__main__":
    main()
