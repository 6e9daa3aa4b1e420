"""The calibrated gate on AdaRAGUE's development rows, by nested cross-validation.

    python lab/benchmarks/eval_gate.py --data DATA --json FILE

3,000 questions of six data sets, each answered by Llama-3.1-8B-Instruct without retrieval and with
one BM25 retrieval. Every figure is measured on rows that were not used to fit the model, to choose
the model and its settings, or to calibrate. Intervals are 95 % bootstrap intervals over rows.

    models    every kind of model with all signals, and the choice among them
    signals   the choice with only some groups of signals
    budget    share of 200 splits in which a target rate is exceeded by more than .02
    reliability   of p(benefit)
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import results_file
from numpy.typing import NDArray

from expertrag.cli.progress import progress
from expertrag.config import ModelConfig
from expertrag.llm.load.loading import quiet
from expertrag_lab.data.rows import read_row_sets
from expertrag_lab.metrics.calibration import auc
from expertrag_lab.metrics.frontier import budget
from expertrag_lab.reliability import ece, reliability
from expertrag_lab.train.gate.learners import GRID
from expertrag_lab.train.gate.material import GateMaterial, material
from expertrag_lab.train.gate.predictor import predict_nested
from expertrag_lab.train.gate.source import open_source
from expertrag_retriever.gate.predictor import Predictions
from expertrag_retriever.gate.signals import SignalGroup

GROUPS = (SignalGroup.QUESTION, SignalGroup.DRAFT)
RATES = (0.5, 0.55, 0.6, 0.65, 0.7)
RESAMPLES = 2_000

Floats = NDArray[np.float64]
CODE = (
    "lab/expertrag_lab/metrics",
    "lab/expertrag_lab/train/gate",
    "retriever/expertrag_retriever/gate",
    "lab/benchmarks/eval_gate.py",
)


def main() -> int:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds to average over")
    parser.add_argument(
        "--signals", nargs="*", type=SignalGroup, default=GROUPS, help="signal groups to use"
    )
    parser.add_argument("--quick", action="store_true", help="only the choice of model")
    given = parser.parse_args()
    row_sets = read_row_sets([given.data / "adarague" / "dev"])
    with progress() as report, quiet():
        # the plain model, as in `make lab-gate-bundle`: readers learn passages, not drafts
        model = ModelConfig(generator="smollm2-135m-instruct-moe")
        source = open_source(given.signals, model, given.work)
        rows = material(row_sets, source, report)

        def measured(name: str, seeds: int, **options: Any) -> dict[str, Any]:
            runs = [
                predict_nested(rows.signals, rows.right, seed=seed, progress=report, **options)
                for seed in range(seeds)
            ]
            found = figures(runs, rows)
            print(described(name, found), flush=True)
            return found

        body: dict[str, Any] = {
            "never": float(rows.never.mean()),
            "always": float(rows.always.mean()),
            "oracle": float((rows.never | rows.always).mean()),
            "chosen": measured("chosen", given.seeds, groups=given.signals),
        }
        if not given.quick:
            body["models"] = {
                name: measured(name, 1, groups=given.signals, models=(name,)) for name in GRID
            }
            body["signals"] = {
                str(group): measured(f"{group} alone", 1, groups=(group,))
                for group in given.signals
            }
    results_file.write(given.json, body, CODE)
    return 0


def figures(runs: Sequence[Predictions], rows: GateMaterial) -> dict[str, Any]:
    """Mean of every figure over runs, with the interval over rows of the first run."""
    benefit = rows.benefit

    def accuracy(rate: float, p: Floats, chosen: NDArray[np.intp]) -> float:
        order = chosen[np.argsort(-p[chosen], kind="stable")]
        retrieved = order[: round(rate * len(order))]
        answered = order[len(retrieved) :]
        return float((rows.always[retrieved].sum() + rows.never[answered].sum()) / len(order))

    def area(p: Floats, chosen: NDArray[np.intp]) -> float:
        return auc(p[chosen].tolist(), benefit[chosen].tolist()) or 0.5

    def gain(rate: float, p: Floats, chosen: NDArray[np.intp]) -> float:
        return accuracy(rate, p, chosen) - float(rows.always[chosen].mean())

    def summary(measure: Callable[[Floats, NDArray[np.intp]], float]) -> dict[str, Any]:
        every = np.arange(len(benefit))
        draws = np.random.default_rng(0).integers(0, len(every), (RESAMPLES, len(every)))
        resampled = [measure(runs[0].benefit, draw) for draw in draws]
        low, high = np.quantile(resampled, (0.025, 0.975))
        values = [measure(run.benefit, every) for run in runs]
        return {
            "mean": float(np.mean(values)),
            "runs": values,
            "half_interval": float((high - low) / 2),
        }

    first = runs[0]
    return {
        "auc_benefit": summary(area),
        "accuracy": {f"{rate:g}": summary(functools.partial(accuracy, rate)) for rate in RATES},
        "over_always": {f"{rate:g}": summary(functools.partial(gain, rate)) for rate in RATES},
        "ece_benefit": float(np.mean([ece(r.benefit.tolist(), benefit.tolist()) for r in runs])),
        "ece_closed_book": float(
            np.mean([ece(r.closed.tolist(), rows.never.tolist()) for r in runs])
        ),
        "ece_retrieval": float(
            np.mean([ece(r.retrieval.tolist(), rows.always.tolist()) for r in runs])
        ),
        "reliability": [
            asdict(bar) for bar in reliability(first.benefit.tolist(), benefit.tolist())
        ],
        "budget": [asdict(item) for item in budget(first.benefit, rows.never, rows.always)],
    }


def described(name: str, found: dict[str, Any]) -> str:
    """Format a measurement as one line."""
    accuracies = " ".join(
        f"@{float(rate):.0%} {item['mean']:.4f}" for rate, item in found["accuracy"].items()
    )
    area = found["auc_benefit"]
    return (
        f"{name:<15} AUC {area['mean']:.4f} ± {area['half_interval']:.3f}  {accuracies}  "
        f"ECE {found['ece_benefit']:.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
