"""In which order to label the questions of a log, so that the gate learns most from few labels.

    python lab/benchmarks/annotation_order.py --data DATA --json FILE

AdaRAGUE's development rows: 500 questions of each of six sets. A set plays a team's traffic: a gate
fitted on rows of the other five decides its questions, some are labelled, and the gate is fitted
again on both. Half of the set is never labelled and measures the gate. ``random`` draws, as `gate
annotate` does; ``uncertain`` takes what is nearest to the threshold first, ``likely`` the greatest
probability of benefit, ``spread`` covers all probabilities evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import results_file
from numpy.typing import NDArray

from expertrag.cli.progress import progress
from expertrag.config import ModelConfig
from expertrag.llm.load.loading import quiet
from expertrag_lab.data.rows import read_row_sets
from expertrag_lab.metrics.calibration import auc
from expertrag_lab.train.gate.material import GateMaterial, material
from expertrag_lab.train.gate.predictor import fit_predictor
from expertrag_lab.train.gate.source import open_source
from expertrag_retriever.gate.predictor import Predictor
from expertrag_retriever.gate.signals import SignalGroup

Floats = NDArray[np.float64]

SIZES = (0, 25, 50, 100, 200)
DRAWS = 20
BASE_ROWS = 500
"""Rows of the other sets, as many as a shipped gate is fitted on."""
RATE = 0.5
BY_BENEFIT: dict[str, Callable[[Floats], NDArray[np.intp]]] = {
    "uncertain": lambda p: np.argsort(np.abs(p - np.quantile(p, 1 - RATE)), kind="stable"),
    "likely": lambda p: np.argsort(-p, kind="stable"),
    "spread": lambda p: np.argsort(p, kind="stable")[spread(len(p))],
}
ORDERS = ("random", *BY_BENEFIT)
MODEL = "logistic"
GROUPS = (SignalGroup.QUESTION, SignalGroup.DRAFT)
CODE = (
    "lab/expertrag_lab/train/gate",
    "retriever/expertrag_retriever/gate",
    "lab/benchmarks/annotation_order.py",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """A gate on questions that were not labelled: ROC area of the benefit, and right answers."""

    auc: float
    accuracy: float


def main() -> int:
    """Run the benchmark, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--signals", nargs="*", type=SignalGroup, default=GROUPS)
    given = parser.parse_args()
    row_sets = read_row_sets([given.data / "adarague" / "dev"])
    found: dict[str, dict[str, dict[int, list[Measured]]]] = {}
    with progress() as report, quiet():
        model = ModelConfig(generator="smollm2-135m-instruct-moe")
        source = open_source(given.signals, model, given.work)
        rows = {each.name: material([each], source, report) for each in row_sets}
        for done, name in enumerate(rows):
            report("sets", done, len(rows))
            others = [some for other, some in rows.items() if other != name]
            found[name] = learned(rows[name], others, given.signals, given.draws)
    mean = summary(
        {
            order: {
                size: [m for some in found.values() for m in some[order][size]] for size in SIZES
            }
            for order in ORDERS
        }
    )
    for order in ORDERS:
        for size, of in mean[order].items():
            print(f"{order:>10} {size:>4} labels  AUC {of['auc']:.3f}  {of['accuracy']:.3f}")
    sets = {name: summary(some) for name, some in found.items()}
    results_file.write(given.json, {"draws": given.draws, "mean": mean, "sets": sets}, CODE)
    return 0


def learned(
    own: GateMaterial,
    others: Sequence[GateMaterial],
    groups: Sequence[SignalGroup],
    draws: int,
) -> dict[str, dict[int, list[Measured]]]:
    """Label one set's questions in both orders, and measure the gate after each number."""
    found: dict[str, dict[int, list[Measured]]] = {
        order: {size: [] for size in SIZES} for order in ORDERS
    }
    elsewhere = joined(others)
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        base = elsewhere.take(
            chosen(rng.permutation(len(elsewhere.signals))[:BASE_ROWS], elsewhere)
        )
        places = rng.permutation(len(own.signals))
        half = len(places) // 2
        pool, held = places[:half], own.take(chosen(places[half:], own))
        deployed = fitted(base, groups, draw)
        p = deployed.predict([own.signals[place] for place in pool]).benefit
        queues = {"random": pool, **{name: pool[order(p)] for name, order in BY_BENEFIT.items()}}
        for order, queue in queues.items():
            for size in SIZES:
                labelled = own.take(chosen(queue[:size], own))
                gate = fitted(joined([base, labelled]), groups, draw) if size else deployed
                found[order][size].append(measured(gate, held))
    return found


def spread(count: int) -> NDArray[np.intp]:
    """Return places of which any beginning is spread evenly (van der Corput's sequence)."""
    bits = max(1, (count - 1).bit_length())
    reverse = [int(f"{place:0{bits}b}"[::-1], 2) for place in range(1 << bits)]
    return np.array([place for place in reverse if place < count], np.intp)


def fitted(rows: GateMaterial, groups: Sequence[SignalGroup], seed: int) -> Predictor:
    """Fit a gate."""
    return fit_predictor(
        rows.signals, rows.right, groups=groups, models=(MODEL,), seed=seed
    ).predictor


def measured(gate: Predictor, rows: GateMaterial) -> Measured:
    """Measure a gate that retrieves for half of the questions."""
    p = gate.predict(rows.signals).benefit
    retrieved = np.argsort(-p, kind="stable")[: round(RATE * len(p))]
    right = rows.never.copy()
    right[retrieved] = rows.always[retrieved]
    return Measured(auc(p.tolist(), rows.benefit.tolist()) or 0.5, float(right.mean()))


def joined(some: Sequence[GateMaterial]) -> GateMaterial:
    """Put rows together."""
    return GateMaterial(
        [signals for each in some for signals in each.signals],
        np.concatenate([each.right for each in some]),
    )


def chosen(places: NDArray[np.intp], rows: GateMaterial) -> NDArray[np.bool_]:
    """Return a mask of rows."""
    mask = np.zeros(len(rows.signals), np.bool_)
    mask[places] = True
    return mask


def summary(found: dict[str, dict[int, list[Measured]]]) -> dict[str, dict[int, dict[str, float]]]:
    """Return means, and the standard errors of the means, by order and number of labels."""
    return {
        order: {size: figures(some) for size, some in sizes.items()}
        for order, sizes in found.items()
    }


def figures(some: Sequence[Measured]) -> dict[str, float]:
    """Return the means of a number of labels, and their standard errors."""
    found: dict[str, float] = {}
    for name in ("auc", "accuracy"):
        values = np.array([getattr(each, name) for each in some])
        found[name] = round(float(values.mean()), 4)
        found[f"{name}_error"] = round(float(values.std() / len(values) ** 0.5), 4)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
