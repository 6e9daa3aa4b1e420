"""Fit the probability that an answer from documents is right, and measure it on sets left out.

    python lab/benchmarks/fit_confidence.py --data DATA --out FOLDER --json FILE

The default language model answers questions from documents, as served, and each answer is right or
wrong (``confidence_rows.py``). A probe of the hidden states with which the model is asked whether
its answer is right is fitted on these, and on answers about invented records
(``verification_rows.py``). A logistic regression on the signals of
``expertrag/answer/ground.py``, the probe's among them, gives the probability. Figures are of
ten folds, and of each set by weights and a probe that were fitted without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import results_file
from confidence_rows import MANUALS, MIXED, OFFICE, Judged, judged_rows
from eval_answers import MODELS, config_of
from numpy.typing import NDArray
from reader_figures import HEADER, Figure, area, mean
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from verification_rows import Verified, verified

from expertrag.answer.assemble import confidence_owner, open_generator
from expertrag.answer.ground import COMPARED_BELOW, SIGNALS
from expertrag.cli.progress import progress
from expertrag.llm.confidence import Confidence, ConfidenceOwner
from expertrag.llm.load.loading import quiet
from expertrag.llm.probe import Owner, Probe
from expertrag_lab.probe_files import save_confidence

FALSE_ALARMS = 0.07
"""Share of right answers that may be marked as to be checked: the bar is .08."""
WITHHELD = 0.03
"""Share of right answers to internal questions that AUTO may withhold."""
PRECISION = 0.96
"""Share of right answers that STRICT gives: the bar is .95."""
PENALTY, STATE_PENALTY, FOLDS, ROUNDS = 1.0, 1e-3, 10, 6
"""Inverse regularization strengths of the weights and of the probe; folds, and their drawings."""
CODE = (
    *results_file.ANSWERS,
    "lab/benchmarks/confidence_rows.py",
    "lab/benchmarks/fit_confidence.py",
    "lab/benchmarks/invented_records.py",
    "lab/benchmarks/manual_questions.py",
    "lab/benchmarks/verification_rows.py",
    "lab/benchmarks/office/questions.jsonl",
)

_VERIFIED = SIGNALS.index("verified")

Odds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Answers of a set: signals [N, S], hidden states [N, 2 D], and whether each is right [N].

    ``compared`` [N, S]: the signals after a comparison with the answer of more passages.
    """

    signals: Odds
    compared: Odds
    states: Odds
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[Judged]) -> Answers:
        """Take the answers that were given."""
        given = [row for row in rows if row.signals]
        return cls(
            np.array([[row.signals[name] for name in SIGNALS] for row in given]),
            np.array([[row.compared[name] for name in SIGNALS] for row in given]),
            np.array([row.state for row in given]),
            np.array([row.right for row in given]),
        )

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """Join sets."""
        return cls(
            np.concatenate([part.signals for part in parts]),
            np.concatenate([part.compared for part in parts]),
            np.concatenate([part.states for part in parts]),
            np.concatenate([part.right for part in parts]),
        )

    def served(self, odds: Odds, model: Pipeline | None = None) -> Odds:
        """Return the signals as they are served: with a comparison where it is needed.

        :param odds: the probe's log odds that each answer is right, [N].
        :param model: tells by the signals before a comparison whether it is needed; without it,
            weights that are fitted on those.
        """
        signals, compared = self.signals.copy(), self.compared.copy()
        signals[:, _VERIFIED] = compared[:, _VERIFIED] = odds
        sure = (
            model.predict_proba(signals)[:, 1] if model else _unseen(signals, self.right)
        ) >= COMPARED_BELOW
        return np.where(sure[:, None], signals, compared)


def main() -> None:
    """Ask, fit, print the figures, and optionally write the weights and JSON."""
    parser = results_file.parser(__doc__, "--data", "--work")
    parser.add_argument("--model", default=MODELS[-1])
    parser.add_argument("--out", type=Path, help="folder of the weights to write")
    given = parser.parse_args()
    with progress() as report, quiet():
        sets = {
            name: Answers.of(judged_rows(name, given.data, given.model, given.work, report))
            for name in (OFFICE, MIXED, MANUALS)
        }
        generator = open_generator(config_of(given.model).model)
        owner = confidence_owner(generator)
        records = verified(generator, given.work / "confidence", report)
    confidence, result = fitted(sets, records, owner)
    print("\n".join((HEADER, *(figure.row for figure in result))))
    body = {"figures": list(map(asdict, result)), "weights": dict(confidence.weights)}
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        save_confidence(confidence, body, card(owner, result), given.out)
    results_file.write(given.json, body, CODE)


def fitted(
    sets: Mapping[str, Answers], records: Sequence[Verified], owner: ConfidenceOwner
) -> tuple[Confidence, list[Figure]]:
    """Fit the probe and the weights, and choose the bounds; return figures of unseen answers."""
    probing = _Probing(records)
    every = Answers.joined(list(sets.values()))
    names = np.array([name for name, some in sets.items() for _ in some.right])
    signals = every.served(probing.unseen(every))
    unseen = _unseen(signals, every.right)
    crossed = np.empty(len(names))
    for name, some in sets.items():
        others = Answers.joined([part for other, part in sets.items() if other != name])
        weights = _weights(PENALTY).fit(others.served(probing.unseen(others)), others.right)
        odds = probing.fit(others).decision_function(some.states)
        crossed[names == name] = weights.predict_proba(some.served(odds, weights))[:, 1]
    confidence = _confidence(
        _weights(PENALTY).fit(signals, every.right),
        probing.fit(every),
        _bounds(unseen[names == OFFICE], every.right[names == OFFICE]),
        owner,
    )
    result = [
        figure
        for name in sets
        for figure in _figures(name, names == name, every.right, unseen, crossed, confidence)
    ]
    return confidence, result


class _Probing:
    """Fits the probe on answers, and always on those about records."""

    def __init__(self, records: Sequence[Verified]) -> None:
        self._states = np.array([row.state for row in records])
        self._right = np.array([row.right for row in records])

    def fit(self, answers: Answers) -> Pipeline:
        return self._fit(answers.states, answers.right)

    def unseen(self, answers: Answers) -> Odds:
        """Return the log odds of answers by probes that were fitted without them."""
        odds = np.zeros(len(answers.right))
        for seed in range(ROUNDS):
            folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
            for seen, left_out in folds.split(answers.states, answers.right):
                probe = self._fit(answers.states[seen], answers.right[seen])
                odds[left_out] += probe.decision_function(answers.states[left_out]) / ROUNDS
        return odds

    def _fit(self, states: Odds, right: NDArray[np.bool_]) -> Pipeline:
        model = _weights(STATE_PENALTY, balanced=True)
        return model.fit(
            np.concatenate([states, self._states]), np.concatenate([right, self._right])
        )


def _weights(penalty: float, *, balanced: bool = False) -> Pipeline:
    model = LogisticRegression(
        C=penalty, max_iter=3000, class_weight="balanced" if balanced else None
    )
    return make_pipeline(StandardScaler(), model)


def _raw(model: Pipeline) -> tuple[Odds, float]:
    """Return the weights and the bias for values that are not standardised."""
    scaler, last = model[0], model[-1]
    weights: Odds = last.coef_[0] / scaler.scale_
    return weights, float(last.intercept_[0] - weights @ scaler.mean_)


def _confidence(
    model: Pipeline, probe: Pipeline, bounds: tuple[float, float, float], owner: ConfidenceOwner
) -> Confidence:
    weights, bias = _raw(model)
    right, right_bias = _raw(probe)
    probe_owner = Owner(owner.generator, owner.fingerprint, owner.prompts)
    verifier = Probe((-right).astype(np.float32), -right_bias, probe_owner)
    named = {name: round(float(weight), 5) for name, weight in zip(SIGNALS, weights, strict=True)}
    warn, strict, internal = bounds
    return Confidence(named, round(bias, 5), warn, strict, internal, owner, verifier)


def _bounds(unseen: Odds, right: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Choose the bounds of warnings, of STRICT and of internal questions."""
    warn, internal = np.quantile(unseen[right], (FALSE_ALARMS, WITHHELD))
    return round(float(warn), 3), round(_strict_from(unseen, right), 3), round(float(internal), 3)


def _unseen(signals: Odds, right: NDArray[np.bool_]) -> Odds:
    """Return probabilities of answers by weights that were fitted without them."""
    rounds = [
        cross_val_predict(
            _weights(PENALTY),
            signals,
            right,
            cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
            method="predict_proba",
        )[:, 1]
        for seed in range(ROUNDS)
    ]
    mean_of: Odds = np.mean(rounds, axis=0)
    return mean_of


def _strict_from(unseen: Odds, right: NDArray[np.bool_]) -> float:
    """Return the least bound from which on enough answers are right."""
    order = np.argsort(-unseen)
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    reached = np.flatnonzero(precision >= PRECISION)
    return float(unseen[order[reached[-1] if len(reached) else 0]])


def _figures(
    name: str,
    own: NDArray[np.bool_],
    right: NDArray[np.bool_],
    unseen: Odds,
    crossed: Odds,
    confidence: Confidence,
) -> Iterator[Figure]:
    labels = right[own].tolist()
    yield Figure(f"{name}: AUROC, ten folds", area(unseen[own].tolist(), labels))
    yield Figure(f"{name}: AUROC, fitted on the other sets", area(crossed[own].tolist(), labels))
    warned = unseen < confidence.warn_below
    yield mean(f"{name}: to be checked, right answers", warned[own & right].astype(float).tolist())
    yield mean(f"{name}: to be checked, wrong answers", warned[own & ~right].astype(float).tolist())
    strict = own & (unseen >= confidence.strict_from)
    yield mean(f"{name}: strict, right", right[strict].astype(float).tolist())
    yield mean(
        f"{name}: strict, given of the right ones",
        (unseen[own & right] >= confidence.strict_from).astype(float).tolist(),
    )


def card(owner: ConfidenceOwner, result: Sequence[Figure]) -> str:
    """Return the card of the weights."""
    table = "\n".join((HEADER, *(figure.row for figure in result)))
    return f"""---
license: apache-2.0
base_model: {owner.generator}
tags: [retrieval-augmented-generation, calibration]
---
# The probability that an answer of {owner.generator} is right

Logistic regression on the signals of `expertrag/answer/ground.py`: the doubt of what was read,
whether more passages give the same answer, how well they cover question and answer, and what a
probe (`verifier`) reads off the hidden states of the model when it is asked whether it is right.

{table}

Fitted by `make lab-confidence` on the half `choose` of `lab/benchmarks/office`, on train questions
of `make lab-eval-mixed`, on how-to questions about its manuals and, the probe, on answers about
invented records. Files of the model: `{owner.fingerprint}`.
"""


if __name__ == "__main__":
    main()
