"""Calibrate a model's doubt by Platt scaling, on train questions.

    python lab/benchmarks/fit_doubt.py --data DATA --questions 40 --json FILE [--reader DIR --write]

The default language model answers train questions from the five best passages, as served. Its doubt
is the probability that the reply begins with "Not in the passages.". Slope and intercept
(``prompt.Doubt``) are fitted on answerable questions of three data sets and unanswerable ones of
squad2, as many as of each of the three, a quarter of all. Only dev questions are asked, which no
reader is trained on; the answers are cached and shared with ``eval_answers.py --dev``. ``--write``
stores the two numbers in the folder of the reader.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import results_file
from eval_answers import (
    MODELS,
    UNANSWERABLE,
    answerable,
    cache_of,
    config_of,
    sourced,
    unanswerable,
)

from expertrag.api.types import GateMode
from expertrag.cli.progress import progress
from expertrag.config import AUTO_READER, NO_PROBE
from expertrag.llm import prompt
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.load.loading import quiet
from expertrag_lab.adapter_bundles import scale_bundle
from expertrag_lab.data.datasets import load_dataset
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.serving import open_pipeline_for
from expertrag_lab.metrics.calibration import auc

SETS = (UNANSWERABLE, "hotpotqa", "popqa")
STRICT_FROM = 0.25
"""Doubt at which STRICT withholds an answer: a wrong answer counts as much as three withheld ones
(3 p = 1 - p)."""
CODE = (
    *results_file.ANSWERS,
    "lab/benchmarks/fit_doubt.py",
    "lab/benchmarks/eval_answers.py",
    "lab/benchmarks/served_answers.py",
)


def main() -> None:
    """Ask the questions, fit, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--model", default=MODELS[-1])
    parser.add_argument("--reader", default=AUTO_READER, help="reader for the model")
    parser.add_argument("--write", action="store_true", help="write to the folder of the reader")
    parser.add_argument("--questions", type=int, default=40, help="questions per data set and kind")
    given = parser.parse_args()
    doubts: dict[str, list[float]] = {}
    inputs = {}
    with progress() as report, quiet():
        for name in SETS:
            dataset = load_dataset(given.data / name, "train")
            kinds = {name: answerable(dataset, given.questions, dev=True)}
            if name == UNANSWERABLE:
                kinds[f"{name} unanswerable"] = unanswerable(dataset, given.questions, dev=True)
            config = config_of(given.model, given.reader, NO_PROBE)
            with open_pipeline_for(dataset, config, given.work, report) as opened:
                cache = cache_of(opened, dataset, given.work)
                inputs[name] = {**cache.inputs, "queries": dataset.sha256}
                assert isinstance(opened.generator, TransformersGenerator), "it is in this process"
                scale = opened.generator.doubt
                for kind, queries in kinds.items():
                    asked = [sourced(dataset, query) for query in queries]
                    replies = cache.ask(asked, (GateMode.ALWAYS,), report)[GateMode.ALWAYS]
                    doubts[kind] = [
                        scale.raw(1 - item.p_sufficient)
                        for item in replies
                        if item.p_sufficient is not None
                    ]
    found = fitted(
        doubts[f"{UNANSWERABLE} unanswerable"], [item for name in SETS for item in doubts[name]]
    )
    body = {"inputs": {"sets": inputs, "questions": given.questions}, **scaled(doubts, found)}
    print(json.dumps({name: body[name] for name in ("doubt", "auroc", "abstains")}, indent=1))
    if given.write:
        scale_bundle(Path(given.reader), found)
    results_file.write(given.json, body, CODE)


def scaled(doubts: Mapping[str, Sequence[float]], found: prompt.Doubt) -> dict[str, JSON]:
    """Return the figures of each kind of questions; ``auroc`` is of squad2's questions only."""
    lost = doubts[f"{UNANSWERABLE} unanswerable"]
    own = doubts[UNANSWERABLE]
    return {
        "doubt": dict(asdict(found)),
        "auroc": auc([*own, *lost], [False] * len(own) + [True] * len(lost)),
        "abstains": {
            mode: {
                kind: sum(found.calibrate(item) >= least for item in some) / len(some)
                for kind, some in doubts.items()
            }
            for mode, least in (("always", prompt.ABSTAINS_FROM), ("strict", found.strict_from))
        },
        "log_odds": {
            kind: [round(log_odds(item), 3) for item in some] for kind, some in doubts.items()
        },
    }


def fitted(unanswerable: Sequence[float], answerable: Sequence[float]) -> prompt.Doubt:
    """Fit slope and intercept by logistic regression with a negligible penalty."""
    from sklearn.linear_model import LogisticRegression

    odds = np.array([[log_odds(item)] for item in (*unanswerable, *answerable)])
    labels = [True] * len(unanswerable) + [False] * len(answerable)
    model = LogisticRegression(C=1e6).fit(odds, labels)
    scale = round(float(model.coef_[0, 0]), 3), round(float(model.intercept_[0]), 3)
    return prompt.Doubt(*scale, strict_from=STRICT_FROM)


def log_odds(probability: float) -> float:
    """Log odds of a probability, which must not be 0 or 1."""
    return math.log(probability / (1.0 - probability))


if __name__ == "__main__":
    main()
