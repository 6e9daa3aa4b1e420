"""Fit, calibrate and refit gates on counterfactual rows; the figures go into the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expertrag._version import __version__
from expertrag.runtime.error_mapping import translate_errors
from expertrag_lab.metrics import stats
from expertrag_lab.metrics.calibration import auc
from expertrag_lab.reliability import ece
from expertrag_lab.train.gate.calibrators import fit_calibration
from expertrag_lab.train.gate.card import write_card
from expertrag_lab.train.gate.material import (
    GateMaterial,
    best_threshold,
    figures,
    fitting_material,
    passages_judged,
)
from expertrag_lab.train.gate.predictor import cross_fit, fit_predictor, folds_of
from expertrag_lab.train.gate.save import save_gate
from expertrag_lab.train.gate.signals import SignalSource
from expertrag_lab.train.gate.sufficiency import enough, fit_sufficiency
from expertrag_retriever.gate.bundle import GateBundle, load_gate
from expertrag_retriever.gate.predictor import Predictions
from expertrag_retriever.gate.sufficiency import Sufficiency
from expertrag_retriever.publish import publish

if TYPE_CHECKING:
    from expertrag_index.types import Progress
    from expertrag_lab.data.types import RowSet
    from expertrag_lab.metrics.types import Comparison

COST = 0.02
"""Default accuracy that a retrieval must gain on average to be worth its cost."""

FOLDS = 5

_UNSEEN = "rows that the model had not seen; its settings and calibration had"
_CALIBRATED = "rows that the calibration had not seen"
_CALIBRATED_SEEN = f"{_CALIBRATED}, but the model had: they are too optimistic"


def fit_gate(
    row_sets: Sequence[RowSet],
    source: SignalSource,
    out: Path,
    *,
    models: Sequence[str],
    judge: bool = True,
    cost: float = COST,
    seed: int = 0,
    progress: Progress,
) -> GateBundle:
    """Fit a gate and write it to ``out``.

    :param judge: also learn to judge whether passages hold the answer.
    :param cost: accuracy that a retrieval must gain on average; sets the threshold.
    :raises InvalidArgument: the rows are incomplete, too few, or have nothing to learn from.
    """
    given = fitting_material(row_sets, source, progress)
    with translate_errors():
        bundle = _fit(out.name, given, row_sets, source, models, cost, seed, progress, judge=judge)
        return _write(bundle, out)


def calibrate_gate(
    row_sets: Sequence[RowSet],
    bundle: GateBundle,
    source: SignalSource,
    out: Path,
    *,
    cost: float = COST,
    seed: int = 0,
    progress: Progress,
) -> GateBundle:
    """Recalibrate a gate on other rows, its model unchanged, and write it to ``out``.

    The judge of passages is kept.

    :raises InvalidArgument: as :func:`fit_gate` does.
    """
    seen = {item.sha256 for item in row_sets} & set(bundle.card["rows"].values())
    given = fitting_material(row_sets, source, progress)
    predictor = bundle.predictor
    raw = predictor.model.predict(predictor.design.matrix(given.signals))
    unseen = np.zeros((3, len(raw)))
    fold = folds_of(given.right, FOLDS, seed)
    for number in range(FOLDS):
        inside = fold == number
        said = fit_calibration(raw[~inside], given.right[~inside], seed)(raw[inside])
        unseen[:, inside] = said.closed, said.retrieval, said.benefit
    predicted = Predictions(*unseen)
    threshold = best_threshold(predicted, given, cost)
    calibrated = replace(
        bundle,
        name=out.name,
        predictor=replace(predictor, calibration=fit_calibration(raw, given.right, seed)),
        threshold=threshold,
        benefits=_sort(predicted),
        card={
            **_origin(row_sets, source, cost, seed),
            "calibrated": bundle.version,
            "before": figures(predictor.calibration(raw), given, bundle.threshold),
            "figures": figures(predicted, given, threshold),
            "figures_are_of": _CALIBRATED_SEEN if seen else _CALIBRATED,
            "tried": [],
            **{name: bundle.card[name] for name in ("passages",) if name in bundle.card},
        },
    )
    with translate_errors():
        return _write(calibrated, out)


def refit_gate(
    row_sets: Sequence[RowSet],
    folder: Path,
    source: SignalSource,
    *,
    models: Sequence[str],
    cost: float = COST,
    seed: int = 0,
    dry_run: bool = False,
    progress: Progress,
) -> tuple[GateBundle, Comparison, bool]:
    """Fit a gate on rows, and replace the one in ``folder`` if the new one is clearly better.

    Clearly better: the 95 % interval of the difference lies above 0.

    On each row a gate scores 1 if the answer it chooses is right, minus ``cost`` if it retrieves.
    The new gate is evaluated on rows that no part of it has seen (nested cross-validation). The
    old one may have been fitted on some of these rows, which favours it.

    Returns the new gate, the comparison, and whether the gate was replaced.

    :raises InvalidArgument: as :func:`fit_gate` does.
    """
    given = fitting_material(row_sets, source, progress)
    with translate_errors():
        old = load_gate(folder)
        before = _worth(old.predictor.predict(given.signals).benefit >= old.threshold, given, cost)
        after = _worth(_decisions(given, source, models, cost, seed, progress), given, cost)
        compared = stats.compare(
            "right - cost", old.version, before.tolist(), "new", after.tolist(), seed=seed
        )
        new = _fit(old.name, given, row_sets, source, models, cost, seed, progress)
        swap = compared.low > 0 and not dry_run
        if swap:
            new = _save(new, folder)
    return new, compared, swap


def _write(bundle: GateBundle, out: Path) -> GateBundle:
    with publish(out) as folder:
        return _save(bundle, folder)


def _save(bundle: GateBundle, folder: Path) -> GateBundle:
    """Write a gate with its card; return the gate with its fingerprint."""
    signed = replace(bundle, fingerprint=save_gate(bundle, folder))
    write_card(signed, folder)
    return signed


def _fit(
    name: str,
    given: GateMaterial,
    row_sets: Sequence[RowSet],
    source: SignalSource,
    models: Sequence[str],
    cost: float,
    seed: int,
    progress: Progress,
    *,
    judge: bool = True,
) -> GateBundle:
    fitted = fit_predictor(
        given.signals,
        given.right,
        groups=source.groups,
        models=models,
        seed=seed,
        progress=progress,
    )
    threshold = best_threshold(fitted.predicted, given, cost)
    tried = [
        {"model": item.name, "settings": item.settings, "loss": item.loss}
        for item in fitted.candidates
    ]
    sufficiency, judged = _sufficiency(row_sets, seed) if judge else (None, {})
    return GateBundle(
        name=name,
        predictor=fitted.predictor,
        threshold=threshold,
        benefits=_sort(fitted.predicted),
        needs=source.needs,
        card={
            **_origin(row_sets, source, cost, seed),
            "figures": figures(fitted.predicted, given, threshold),
            "figures_are_of": _UNSEEN,
            "tried": tried,
            **judged,
        },
        sufficiency=sufficiency,
    )


def _sufficiency(
    row_sets: Sequence[RowSet], seed: int
) -> tuple[Sufficiency | None, Mapping[str, Any]]:
    """Fit the judge of passages, if enough rows have labels; return it and its part of the card."""
    signals, sufficient = passages_judged(row_sets)
    if not enough(sufficient):
        return None, {}
    fitted = fit_sufficiency(signals, sufficient, seed)
    said = fitted.unseen.tolist()
    similar = [item.numbers["evidence_dense_best"] for item in signals]
    figures = {
        "rows": len(sufficient),
        "sufficient": float(np.mean(sufficient)),
        "auc": auc(said, sufficient),
        "auc_similarity": auc(similar, sufficient),
        "ece": ece(said, sufficient),
    }
    return fitted.model, {"passages": figures}


def _decisions(
    given: GateMaterial,
    source: SignalSource,
    models: Sequence[str],
    cost: float,
    seed: int,
    progress: Progress,
) -> NDArray[np.bool_]:
    """Decide on each row by a gate that has not seen it, [N]."""
    retrieved = np.zeros(len(given.right), bool)
    for inside, fitted in cross_fit(
        given.signals,
        given.right,
        groups=source.groups,
        models=models,
        seed=seed,
        progress=progress,
    ):
        threshold = best_threshold(fitted.predicted, given.take(~inside), cost)
        said = fitted.predictor.predict(given.take(inside).signals)
        retrieved[inside] = said.benefit >= threshold
    return retrieved


def _worth(retrieved: NDArray[np.bool_], given: GateMaterial, cost: float) -> NDArray[np.float64]:
    return np.where(retrieved, given.always - cost, given.never)


def _origin(
    row_sets: Sequence[RowSet], source: SignalSource, cost: float, seed: int
) -> Mapping[str, Any]:
    return {
        "rows": {row_set.name: row_set.sha256 for row_set in row_sets},
        "answered_by": _find_models(row_sets),
        "signals": [str(group) for group in source.groups],
        "cost": cost,
        "seed": seed,
        "expertrag": __version__,
    }


def _find_models(row_sets: Sequence[RowSet]) -> list[str]:
    """Return the hashes of the language models that answered; empty if a row does not say."""
    hashes = {
        row.recorded.gate.generator if row.recorded else ""
        for row_set in row_sets
        for row in row_set.rows
    }
    return [] if "" in hashes else sorted(hashes)


def _sort(predicted: Predictions) -> tuple[float, ...]:
    return tuple(np.sort(predicted.benefit).tolist())
