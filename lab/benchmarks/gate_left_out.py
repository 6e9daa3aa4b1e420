"""Leave-one-set-out evaluation of gates: a gate fitted on the others decides the rows of each set.

    python lab/benchmarks/gate_left_out.py .eval/rows --generator NAME --json FILE

What a gate learns from the data sets at hand may not transfer. Sets that are not about a store's
documents (``everyday``, ``openqa``, and ``NAME-STORE``, the same over other stores) are left out
together, by the part of the name before the hyphen. Every combination of signals and model uses the
threshold chosen by its own fit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import results_file

from expertrag.config import Config
from expertrag_lab.data.rows import read_row_sets
from expertrag_lab.data.types import JSON, RowSet
from expertrag_lab.eval.stores import default_work
from expertrag_lab.train.gate.fit import COST
from expertrag_lab.train.gate.material import GateMaterial, best_threshold, material
from expertrag_lab.train.gate.predictor import fit_predictor
from expertrag_lab.train.gate.source import open_source
from expertrag_retriever.gate.signals import SignalGroup

SIGNALS = (
    (SignalGroup.STORE,),
    (SignalGroup.QUESTION, SignalGroup.STORE),
    (SignalGroup.STORE, SignalGroup.PREFILL),
)
MODELS = ("logistic", "kernel", "mixture")
CODE = (
    "lab/expertrag_lab/train/gate",
    "retriever/expertrag_retriever/gate",
    "lab/benchmarks/gate_left_out.py",
)


def main() -> None:
    """Fit the gates, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__)
    parser.add_argument("rows", nargs="+", type=Path, help="files or folders of rows")
    parser.add_argument("--generator", required=True, help="language model that answered the rows")
    given = parser.parse_args()
    row_sets = read_row_sets(given.rows)
    model = replace(Config().model, generator=given.generator)
    source = open_source((SignalGroup.STORE, SignalGroup.PREFILL), model, default_work())
    parts: dict[str, list[RowSet]] = {}
    for row_set in row_sets:
        parts.setdefault(row_set.name.partition("-")[0], []).append(row_set)
    sets = {name: material(some, source, lambda *_: None) for name, some in parts.items()}
    every = list(sets.values())
    found: list[dict[str, JSON]] = []
    for signals in SIGNALS:
        for name in MODELS:
            found.append(left_out(sets, signals, name))
            print(json.dumps(found[-1]))
    body = {
        "inputs": {item.name: item.sha256 for item in row_sets},
        "rows": sum(len(item.right) for item in every),
        "never": _mean([item.never for item in every]),
        "always": _mean([item.always for item in every]),
        "oracle": _mean([item.never | item.always for item in every]),
        "gates": found,
    }
    results_file.write(given.json, body, CODE)


def left_out(
    sets: dict[str, GateMaterial], signals: Sequence[SignalGroup], name: str
) -> dict[str, JSON]:
    """Decide the rows of each set by a gate fitted on the others."""
    right, retrieved, of_sets = [], [], {}
    for left, rows in sets.items():
        others = _together([item for other, item in sets.items() if other != left])
        fitted = fit_predictor(others.signals, others.right, groups=signals, models=(name,))
        threshold = best_threshold(fitted.predicted, others, COST)
        consults = fitted.predictor.predict(rows.signals).benefit >= threshold
        retrieved.append(consults)
        right.append(np.where(consults, rows.always, rows.never))
        of_sets[left] = float(consults.mean())
    return {
        "signals": [str(group) for group in signals],
        "model": name,
        "right": _mean(right),
        "searches": _mean(retrieved),
        "searches_of_sets": of_sets,
    }


def _together(some: Sequence[GateMaterial]) -> GateMaterial:
    return GateMaterial(
        [signals for item in some for signals in item.signals],
        np.concatenate([item.right for item in some]),
    )


def _mean(some: Sequence[np.ndarray]) -> float:
    return float(np.concatenate(some).mean())


if __name__ == "__main__":
    main()
