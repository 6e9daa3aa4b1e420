"""Fit the probability that an answer from documents is right, and measure it on sets left out.

    python benchmarks/fit_confidence.py --data DATA --out FOLDER --json FILE

The default language model answers questions from documents, as served, and each answer is right or
wrong: those of the half ``choose`` of the office share, and train questions of the store of many
sources, a part of which it does not answer. A logistic regression on the signals of
``expertrag/answer/confidence.py`` is fitted on both. Figures are of ten folds, and of each set by
weights that were fitted on the other one. Rows are kept, so an interrupted run can be resumed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import results_file
from eval_answers import MODELS
from mixed_store import GENERAL, build, questions, scored, write_documents
from numpy.typing import NDArray
from office_answers import ANSWERING, opened, prepare
from office_questions import is_right
from office_questions import questions as office_questions
from reader_figures import HEADER, Figure, area, mean
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from expertrag.answer.assemble import confidence_owner
from expertrag.answer.confidence import SIGNALS
from expertrag.answer.embedders import open_embedder
from expertrag.answer.pipeline import Pipeline
from expertrag.api.folding import fold
from expertrag.api.turns import Turn
from expertrag.api.types import AnswerRequest, GateMode
from expertrag.cli.progress import progress
from expertrag.config import Config
from expertrag.data.resume import appending, read_results
from expertrag.eval.manifest import inputs_id
from expertrag.llm.confidence import Confidence, ConfidenceOwner, save_confidence
from expertrag.llm.load.loading import quiet
from expertrag.metrics import squad
from expertrag_index.types import Progress

OFFICE, MIXED = "office", "mixed"
MIXED_QUESTIONS = 200
FALSE_ALARMS = 0.07
"""Share of right answers that may be marked as to be checked: the bar is .08."""
WITHHELD = 0.03
"""Share of right answers to internal questions that AUTO may withhold."""
PRECISION = 0.96
"""Share of right answers that STRICT gives: the bar is .95."""
PENALTY, FOLDS, ROUNDS = 1.0, 10, 6
CODE = (*results_file.ANSWERS, "benchmarks/fit_confidence.py", "benchmarks/office/questions.jsonl")


@dataclass(frozen=True, slots=True)
class Recorder(Confidence):
    """Keeps the signals of answers, and calls all of them right."""

    seen: list[Mapping[str, float]] = field(default_factory=list)

    def probability(self, signals: Mapping[str, float]) -> float:
        """Keep the signals."""
        self.seen.append(dict(signals))
        return 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a set; ``answers`` are accepted by its rules, none if it has no answer."""

    key: str
    text: str
    history: tuple[Turn, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: whether it is right, and its signals; none if the model abstained."""

    right: bool
    signals: Mapping[str, float]


def main() -> None:
    """Ask, fit, print the figures, and optionally write the weights and JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--model", default=MODELS[-1])
    parser.add_argument("--out", type=Path, help="folder of the weights to write")
    parser.add_argument("--questions", type=int, help="maximum of each set")
    given = parser.parse_args()
    rows: dict[str, list[Told]] = {}
    with progress() as report, quiet():
        for name in (OFFICE, MIXED):
            asked = (_office() if name == OFFICE else _mixed(given.data))[: given.questions]
            with closing(opened(given.model, _store(name, given.data, given.work, report))) as one:
                rows[name] = told(one, name, asked, given.work / "confidence", report)
                owner = confidence_owner(one._generator)
    confidence, result = fitted(rows, owner)
    print("\n".join((HEADER, *(figure.row for figure in result))))
    print(json.dumps(asdict(confidence), indent=1))
    body = {"figures": list(map(asdict, result)), "weights": dict(confidence.weights)}
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        save_confidence(confidence, body, card(owner, result), given.out)
    results_file.write(given.json, body, CODE)


def told(
    pipeline: Pipeline, name: str, asked: Sequence[Asked], work: Path, report: Progress
) -> list[Told]:
    """Answer questions from documents; kept rows are reused."""
    generator = pipeline._generator
    owner = confidence_owner(generator)
    generator.confidence = recorder = Recorder({}, 0.0, 0.0, 0.0, 0.0, owner)
    inputs = {**asdict(owner), "set": name, "code": [results_file.code_hash(p) for p in ANSWERING]}
    path = work / f"{name}-{inputs_id(inputs)}.jsonl"
    with appending(path) as file:
        known = read_results(path, lambda item: (item["key"], Told(item["right"], item["signals"])))
        missing = [item for item in asked if item.key not in known]
        for done, item in enumerate(missing, start=1):
            recorder.seen.clear()
            request = AnswerRequest(item.text, mode=GateMode.ALWAYS, history=item.history)
            answer = fold(pipeline.answer(request))
            signals = recorder.seen[-1] if recorder.seen and not answer.abstained else {}
            row = known[item.key] = Told(_is_right(name, item, answer.text), signals)
            file.write(json.dumps({"key": item.key, **asdict(row)}) + "\n")
            file.flush()
            report(f"answers, {name}", done, len(missing))
    return [known[item.key] for item in asked]


def fitted(
    rows: Mapping[str, Sequence[Told]], owner: ConfidenceOwner
) -> tuple[Confidence, list[Figure]]:
    """Fit the weights and choose the bounds; return them with the figures of left-out answers."""
    given = {name: [row for row in some if row.signals] for name, some in rows.items()}
    sets = np.array([name for name, some in given.items() for _ in some])
    every = [row for some in given.values() for row in some]
    values = np.array([[row.signals[name] for name in SIGNALS] for row in every])
    right = np.array([row.right for row in every])
    unseen = _unseen(values, right)
    crossed = np.empty(len(every))
    for name in given:
        own = sets == name
        crossed[own] = _model().fit(values[~own], right[~own]).predict_proba(values[own])[:, 1]
    office = sets == OFFICE
    bounds = (
        float(np.quantile(unseen[right & office], FALSE_ALARMS)),
        _strict_from(unseen[office], right[office]),
        float(np.quantile(unseen[right & office], WITHHELD)),
    )
    warn, strict, internal = (round(bound, 3) for bound in bounds)
    model = _model().fit(values, right)
    scaler, last = model[0], model[-1]
    weights = last.coef_[0] / scaler.scale_
    bias = float(last.intercept_[0] - weights @ scaler.mean_)
    confidence = Confidence(
        {name: round(float(weight), 5) for name, weight in zip(SIGNALS, weights, strict=True)},
        round(bias, 5),
        warn,
        strict,
        internal,
        owner,
    )
    result = [
        figure
        for name in given
        for figure in _figures(name, sets == name, right, unseen, crossed, confidence)
    ]
    return confidence, result


def _model() -> make_pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1000))


def _unseen(values: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return probabilities of answers by weights that were fitted without them."""
    rounds = [
        cross_val_predict(
            _model(),
            values,
            right,
            cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
            method="predict_proba",
        )[:, 1]
        for seed in range(ROUNDS)
    ]
    mean_of: NDArray[np.float64] = np.mean(rounds, axis=0)
    return mean_of


def _strict_from(unseen: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the least bound from which on enough answers are right."""
    order = np.argsort(-unseen)
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    reached = np.flatnonzero(precision >= PRECISION)
    return float(unseen[order[reached[-1] if len(reached) else 0]])


def _figures(
    name: str,
    own: NDArray[np.bool_],
    right: NDArray[np.bool_],
    unseen: NDArray[np.float64],
    crossed: NDArray[np.float64],
    confidence: Confidence,
) -> Iterator[Figure]:
    labels = right[own].tolist()
    yield Figure(f"{name}: AUROC, ten folds", area(unseen[own].tolist(), labels))
    yield Figure(f"{name}: AUROC, fitted on the other set", area(crossed[own].tolist(), labels))
    warned = unseen < confidence.warn_below
    yield mean(f"{name}: to be checked, right answers", warned[own & right].astype(float).tolist())
    yield mean(f"{name}: to be checked, wrong answers", warned[own & ~right].astype(float).tolist())
    strict = own & (unseen >= confidence.strict_from)
    yield mean(f"{name}: strict, right", right[strict].astype(float).tolist())
    yield mean(
        f"{name}: strict, given of the right ones",
        (unseen[own & right] >= confidence.strict_from).astype(float).tolist(),
    )


def _store(name: str, data: Path, work: Path, report: Progress) -> Path:
    if name == OFFICE:
        return prepare(work / "office", report)
    write_documents(data, work / "mixed" / "documents")
    embedder = open_embedder(Config().model, None)
    return build(work / "mixed" / "documents", work / "mixed" / "store", embedder, report)


def _office() -> list[Asked]:
    return [
        Asked(item.id, item.question, item.history, item.answers or ())
        for item in office_questions()
        if item.half == "choose" and item.kind != GENERAL
    ]


def _mixed(data: Path) -> list[Asked]:
    every = [
        Asked(f"{kind}/{item.query.id}", item.query.text, (), item.query.answers or ())
        for kind, some in questions(data, "train").items()
        if kind != GENERAL
        for item in some
        if scored(item)
    ]
    return random.Random(0).sample(every, min(len(every), MIXED_QUESTIONS))


def _is_right(name: str, asked: Asked, text: str) -> bool:
    if not asked.answers:
        return False
    if name == MIXED:
        return squad.right(text, asked.answers)
    question = next(item for item in office_questions() if item.id == asked.key)
    return is_right(question, text, abstained=False)


def card(owner: ConfidenceOwner, result: Sequence[Figure]) -> str:
    """Return the card of the weights."""
    table = "\n".join((HEADER, *(figure.row for figure in result)))
    return f"""---
license: apache-2.0
base_model: {owner.generator}
tags: [retrieval-augmented-generation, calibration]
---
# The probability that an answer of {owner.generator} is right

Logistic regression on the signals of `expertrag/answer/confidence.py`: the doubt of what was read,
whether more passages give the same answer, and how well they cover question and answer.

{table}

Fitted by `make confidence` on the half `choose` of `benchmarks/office` and on train questions of
`make eval-mixed`. Files of the model: `{owner.fingerprint}`.
"""


if __name__ == "__main__":
    main()
