"""Evaluate a retrieval gate on counterfactual rows, without running a language model.

Every question was answered closed book and with retrieval, so any decision can be scored:

never       closed book
always      one retrieval
multi_step  several retrievals, if every row has that output
oracle      retrieves only if closed book is wrong and one retrieval is right: the upper bound
random      retrieves as often as the gate, or at rate 0.5 without one; expected values, no sampling
gate        retrieves if p(benefit) >= threshold

The report is ``{"kind": "gate", "pooled": {policy: P}, "sets": {set: {policy: P}}, "comparisons":
{set or "pooled": […]}, "per_query": {set: {policy: {row id: 0 or 1}}}, "skipped", "unanswerable":
{set: number of rows without a right answer}, "without_multi_step": {set: number of rows without it,
if others have it}, "manifest"}``. P has the fields of ``PolicyFigures``, for the gate the fields of
``GatePolicyFigures``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from expertrag.api.errors import InvalidArgument
from expertrag_index.types import Progress, silent
from expertrag_lab.data.types import JSON, POOLED, RowSet, Skipped
from expertrag_lab.eval.gates import RowGate, load_recorded_gate
from expertrag_lab.eval.manifest import RunManifest
from expertrag_lab.metrics import calibration, stats
from expertrag_lab.metrics.counterfactual import Counterfactual, Floats, counterfactual, pool
from expertrag_lab.metrics.frontier import Budget, area_over_random, budget, frontier
from expertrag_lab.metrics.types import Comparison
from expertrag_lab.reliability import Bin, ece, reliability

POLICIES = ("never", "always", "multi_step", "oracle", "random", "gate")
COMPARED = (("never", "always"), ("never", "gate"), ("always", "gate"), ("random", "gate"))
"""Pairs of policies to test: does retrieval help, and does the gate beat policies without one."""

RANDOM_RATE = 0.5
"""Retrieval rate of ``random`` without a gate."""


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """Figures of a policy on ``n`` rows. ``rate`` is the share of rows that it retrieves for.

    ``lm_calls`` is the mean over rows, None if unknown. ``interval`` is the 95 % bootstrap
    interval of the accuracy.
    """

    accuracy: float
    rate: float
    lm_calls: float | None
    n: int
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class GatePolicyFigures(PolicyFigures):
    """Figures of the gate against the *benefit*: rows where only retrieval is right.

    ``auc_benefit`` is None if no row or every row has the benefit. ``harm``: share of all rows
    where the gate retrieved and only closed book was right. ``missed``: share where it did not and
    only retrieval was right. ``frontier``: (rate, accuracy), thinned; ``area_over_random`` is
    computed on the full frontier.
    """

    name: str
    threshold: float
    auc_benefit: float | None
    harm: float
    missed: float
    ece: float
    frontier: tuple[tuple[float, float], ...]
    area_over_random: float
    reliability: tuple[Bin, ...]
    budget: tuple[Budget, ...]


@dataclass(frozen=True, slots=True)
class SetFigures:
    """The policies by name, on one set or on all; comparisons are Holm-adjusted together."""

    policies: Mapping[str, PolicyFigures]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class GateFigures:
    """All figures of an evaluation. ``skipped`` and the fields after it are by set."""

    pooled: SetFigures
    sets: Mapping[str, SetFigures]
    per_query: Mapping[str, Mapping[str, Mapping[str, int]]]
    skipped: Mapping[str, tuple[Skipped, ...]]
    unanswerable: Mapping[str, int]
    without_multi_step: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Decided:
    """The gate's p(benefit) of N rows, [N], and the LM calls of deciding, [N] each.

    ``calls`` applies if the gate retrieves. ``kept`` applies if it does not: the closed-book answer
    continues from the gate's prefill, so only reading a draft is an extra call.
    """

    gate: RowGate
    p_benefit: Floats
    calls: Floats
    kept: Floats

    @property
    def retrieved(self) -> Floats:
        return (self.p_benefit >= self.gate.threshold).astype(float)


def evaluate_gate(
    row_sets: Sequence[RowSet],
    gate: RowGate | None,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> GateFigures:
    """Score the policies, and the gate if there is one.

    :raises InvalidArgument: no row has accepted answers, or the gate has no value for a row.
    """
    usable = [with_answers(row_set) for row_set in row_sets]
    kept = [row_set for row_set in usable if row_set.rows]
    if not kept:
        raise InvalidArgument(
            "no row has accepted answers to score outputs against; pass rows of a data set with "
            "short answers"
        )
    rows = [counterfactual(row_set.rows) for row_set in kept]
    decided = [_decide(row_set, gate) if gate else None for row_set in kept]
    scored = {
        row_set.name: pair
        for row_set, pair in zip(kept, zip(rows, decided, strict=True), strict=True)
    }
    sets = {}
    for done, (name, pair) in enumerate(scored.items()):
        progress("scoring", done, len(scored) + 1)
        sets[name] = _figures(*pair, seed)
    progress("scoring", len(scored), len(scored) + 1)
    pooled = _figures(pool(rows), _pool([item for item in decided if item]), seed)
    progress("scoring", len(scored) + 1, len(scored) + 1)
    return GateFigures(
        pooled=pooled,
        sets=sets,
        per_query={name: _per_query(*pair) for name, pair in scored.items()},
        skipped={row_set.name: row_set.skipped for row_set in usable},
        unanswerable={
            row_set.name: sum(row.answers == () for row in row_set.rows) for row_set in row_sets
        },
        without_multi_step={
            row_set.name: lacking
            for row_set in kept
            if 0 < (lacking := _without_multi_step(row_set)) < len(row_set.rows)
        },
    )


def evaluate_recorded_gate(row_sets: Sequence[RowSet], *, seed: int = 0) -> GateFigures | None:
    """Score the gate that rows were recorded with; None if no row has accepted answers."""
    if not any(row.answers for row_set in row_sets for row in row_set.rows):
        return None
    return evaluate_gate(row_sets, load_recorded_gate(row_sets), seed=seed)


def gate_report(figures: GateFigures, manifest: RunManifest) -> dict[str, JSON]:
    """Return the figures as JSON; the module docstring lists the keys."""
    everything = {POOLED: figures.pooled, **figures.sets}
    return {
        "kind": "gate",
        "manifest": asdict(manifest),
        "pooled": _policies(figures.pooled),
        "sets": {name: _policies(item) for name, item in figures.sets.items()},
        "comparisons": {
            name: [asdict(comparison) for comparison in item.comparisons]
            for name, item in everything.items()
        },
        "per_query": figures.per_query,
        "skipped": {
            name: [asdict(item) for item in items] for name, items in figures.skipped.items()
        },
        "unanswerable": figures.unanswerable,
        "without_multi_step": figures.without_multi_step,
    }


def _policies(figures: SetFigures) -> dict[str, JSON]:
    return {name: asdict(policy) for name, policy in figures.policies.items()}


def with_answers(row_set: RowSet) -> RowSet:
    """Drop the rows that cannot be scored, and count them as skipped."""
    missing = [
        Skipped(row.id, "no accepted answers") for row in row_set.rows if row.answers is None
    ]
    rows = tuple(row for row in row_set.rows if row.answers)
    return replace(row_set, rows=rows, skipped=(*row_set.skipped, *missing))


def _without_multi_step(row_set: RowSet) -> int:
    return sum(row.multi_step is None for row in row_set.rows)


def _decide(row_set: RowSet, gate: RowGate) -> _Decided:
    calls = [
        row.recorded.gate.lm_calls if gate.recorded and row.recorded else 0 for row in row_set.rows
    ]
    kept, dropped = gate.extra_calls
    return _Decided(
        gate,
        gate.probabilities(row_set),
        np.array(calls, float) + dropped,
        np.full(len(calls), float(kept)),
    )


def _pool(decided: Sequence[_Decided]) -> _Decided | None:
    if not decided:
        return None
    return _Decided(
        decided[0].gate,
        np.concatenate([item.p_benefit for item in decided]),
        np.concatenate([item.calls for item in decided]),
        np.concatenate([item.kept for item in decided]),
    )


def _figures(rows: Counterfactual, decided: _Decided | None, seed: int) -> SetFigures:
    retrieval = _retrieval(rows, decided)
    values = {name: rows.accuracy(chosen) for name, chosen in retrieval.items()}
    figures: dict[str, PolicyFigures] = {
        name: _policy(values[name], float(chosen.mean()), float(rows.calls(chosen).mean()), seed)
        for name, chosen in retrieval.items()
    }
    if rows.multi_step is not None:
        figures["multi_step"] = _policy(rows.multi_step.astype(float), 1.0, None, seed)
    if decided is not None:
        figures["gate"] = _gate(figures["gate"], rows, decided, seed)
    compared = [
        stats.compare("accuracy", a, values[a].tolist(), b, values[b].tolist(), seed=seed)
        for a, b in COMPARED
        if a in values and b in values
    ]
    return SetFigures(
        {name: figures[name] for name in POLICIES if name in figures}, stats.adjust(compared)
    )


def _retrieval(rows: Counterfactual, decided: _Decided | None) -> dict[str, Floats]:
    """Probability that each policy retrieves, [N] each."""
    rate = float(decided.retrieved.mean()) if decided else RANDOM_RATE
    result = {
        "never": np.zeros(len(rows.ids)),
        "always": np.ones(len(rows.ids)),
        "oracle": rows.benefit.astype(float),
        "random": np.full(len(rows.ids), rate),
    }
    if decided is not None:
        result["gate"] = decided.retrieved
    return result


def _policy(values: Floats, rate: float, lm_calls: float | None, seed: int) -> PolicyFigures:
    accuracy = stats.estimate(values.tolist(), seed=seed)
    interval = (accuracy.low, accuracy.high)
    return PolicyFigures(accuracy.mean, rate, lm_calls, accuracy.n, interval)


def _gate(
    policy: PolicyFigures, rows: Counterfactual, decided: _Decided, seed: int
) -> GatePolicyFigures:
    """Extend a policy's figures by those that only a gate has."""
    p, retrieved = decided.p_benefit, decided.retrieved.astype(bool)
    points = frontier(p, rows.never, rows.always)
    deciding = np.where(retrieved, decided.calls, decided.kept)
    calls = rows.calls(decided.retrieved) + deciding
    return GatePolicyFigures(
        accuracy=policy.accuracy,
        rate=policy.rate,
        lm_calls=float(calls.mean()),
        n=policy.n,
        interval=policy.interval,
        name=decided.gate.name,
        threshold=decided.gate.threshold,
        auc_benefit=calibration.auc(p.tolist(), rows.benefit.tolist()),
        harm=float((retrieved & rows.harm).mean()),
        missed=float((~retrieved & rows.benefit).mean()),
        ece=ece(p.tolist(), rows.benefit.tolist()),
        frontier=calibration.thin(points),
        area_over_random=area_over_random(points),
        reliability=reliability(p.tolist(), rows.benefit.tolist()),
        budget=budget(p, rows.never, rows.always, seed=seed),
    )


def _per_query(rows: Counterfactual, decided: _Decided | None) -> Mapping[str, Mapping[str, int]]:
    right = {
        name: rows.accuracy(chosen)
        for name, chosen in _retrieval(rows, decided).items()
        if name != "random"
    }
    if rows.multi_step is not None:
        right["multi_step"] = rows.multi_step.astype(float)
    return {
        name: dict(zip(rows.ids, map(int, right[name]), strict=True))
        for name in POLICIES
        if name in right
    }
