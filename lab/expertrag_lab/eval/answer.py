"""Quality and cost of answers under each policy, without a judge.

``accuracy`` is over questions with accepted answers: the share whose output contains one
(``squad.contains``). Questions that the corpus cannot answer (``answers`` empty) are used for
abstention. Figures are AUROC of the confidence, answerable against unanswerable, and AURC. That is
the area under the risk-coverage curve, where any answer to an unanswerable question is an error. A
data set without short answers has only ``relevant_support``: the share of the output that its
relevant documents support (``expertrag.grounding.ground``).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean

from expertrag_lab.data.types import JSON, POOLED, Row, RowSet
from expertrag_lab.eval.gate import evaluate_recorded_gate, gate_report
from expertrag_lab.eval.manifest import RunManifest
from expertrag_lab.eval.policies import Outcome, outcome
from expertrag_lab.metrics import calibration, squad, stats
from expertrag_lab.metrics.types import Comparison

WORST = 10

_Scored = tuple[Row, Outcome]


def answer_report(
    row_sets: Sequence[RowSet],
    policies: Sequence[str],
    manifest: RunManifest,
    *,
    seed: int = 0,
) -> dict[str, JSON]:
    """Score recorded rows under every policy and return the report as JSON."""
    sets = {row_set.name: row_set.rows for row_set in row_sets}
    everything = {**sets, POOLED: tuple(itertools.chain.from_iterable(sets.values()))}
    scored = {
        name: {policy: [(row, outcome(policy, row)) for row in rows] for policy in policies}
        for name, rows in everything.items()
    }
    figures: dict[str, JSON] = {
        name: {policy: _figures(pairs, seed) for policy, pairs in by_policy.items()}
        for name, by_policy in scored.items()
    }
    return {
        "kind": "answer",
        "manifest": asdict(manifest),
        "policies": list(policies),
        "pooled": figures.pop(POOLED),
        "sets": figures,
        "comparisons": {name: _comparisons(pairs, seed) for name, pairs in scored.items()},
        "per_query": {name: _per_query(scored[name]) for name in sets},
        "worst": {name: _worst(scored[name][policies[-1]], policies[-1]) for name in sets},
        "gate": _gate(row_sets, manifest, seed),
        "sizes": {name: _sizes(rows) for name, rows in sets.items()},
        "skipped": {
            row_set.name: [asdict(item) for item in row_set.skipped] for row_set in row_sets
        },
    }


def _gate(row_sets: Sequence[RowSet], manifest: RunManifest, seed: int) -> JSON:
    """Score the recorded gate on the same questions as ``accuracy``."""
    figures = evaluate_recorded_gate(row_sets, seed=seed)
    if figures is None:
        return None
    report = gate_report(figures, manifest)
    return {name: report[name] for name in ("pooled", "sets", "unanswerable")}


def _figures(pairs: Sequence[_Scored], seed: int) -> dict[str, JSON]:
    answerable = [pair for pair in pairs if pair[0].answers]
    accuracy = [_accuracy(*pair) for pair in answerable]
    estimate = stats.estimate(accuracy, seed=seed) if accuracy else None
    judged = [pair for pair in pairs if pair[0].answers is not None]
    confident = [pair for pair in judged if pair[1].branch.confidence is not None]
    confidence = [float(result.branch.confidence or 0.0) for _, result in confident]
    correct = [bool(_accuracy(*pair)) for pair in confident]
    return {
        "accuracy": estimate.mean if estimate else None,
        "interval": [estimate.low, estimate.high] if estimate else None,
        "exact_match": _mean(answerable, lambda row, o: squad.exact_match(o.output, _of(row))),
        "f1": _mean(answerable, _f1),
        "containment": _mean(answerable, lambda row, o: squad.substring(o.output, _of(row))),
        "rate": _mean(pairs, lambda _, o: o.retrieved),
        "n": len(pairs),
        "answerable": len(answerable),
        **_costs(pairs),
        **_citations(pairs),
        "relevant_support": _mean(
            [pair for pair in pairs if pair[1].branch.relevant_support is not None],
            lambda _, o: o.branch.relevant_support or 0.0,
        ),
        "abstention_auroc": calibration.auc(confidence, [bool(row.answers) for row, _ in confident])
        if confident
        else None,
        "aurc": calibration.aurc(confidence, correct) if confident else None,
        "risk_coverage": [list(point) for point in calibration.risk_coverage(confidence, correct)]
        if confident
        else [],
    }


def _costs(pairs: Sequence[_Scored]) -> dict[str, JSON]:
    seconds: Counter[str] = Counter()
    for _, result in pairs:
        seconds.update(result.stage_seconds)
    return {
        "retrieval_calls": _mean(pairs, lambda _, o: o.retrieval_calls),
        "lm_calls": _mean(pairs, lambda _, o: o.lm_calls),
        "prompt_tokens": _mean(pairs, lambda _, o: o.prompt_tokens),
        "completion_tokens": _mean(pairs, lambda _, o: o.completion_tokens),
        "seconds": sum(seconds.values()) / len(pairs) if pairs else None,
        "stage_seconds": {name: total / len(pairs) for name, total in seconds.items()},
    }


def _citations(pairs: Sequence[_Scored]) -> dict[str, JSON]:
    """Precision over answers with citations; recall over retrieved ones with relevant documents."""
    retrieved = [pair for pair in pairs if pair[1].retrieved and pair[0].relevant]
    citing = [pair for pair in retrieved if pair[1].branch.cited]
    return {
        "citation_precision": _mean(citing, lambda row, o: _hits(row, o) / len(o.branch.cited)),
        "citation_recall": _mean(retrieved, lambda row, o: _hits(row, o) / len(row.relevant)),
    }


def _hits(row: Row, result: Outcome) -> int:
    return len(set(result.branch.cited) & set(row.relevant))


def _accuracy(row: Row, result: Outcome) -> float:
    return float(squad.contains(result.output, _of(row)))


def _f1(row: Row, result: Outcome) -> float:
    return squad.token_f1(result.output, _of(row))


def _of(row: Row) -> tuple[str, ...]:
    return row.answers or ()


def _mean(pairs: Sequence[_Scored], value: Callable[[Row, Outcome], float]) -> float | None:
    return fmean(value(*pair) for pair in pairs) if pairs else None


def _comparisons(by_policy: Mapping[str, Sequence[_Scored]], seed: int) -> list[JSON]:
    """Compare each pair of policies in accuracy and F1, Holm-adjusted together."""
    comparisons: list[Comparison] = []
    for a, b in itertools.combinations(by_policy, 2):
        for metric, value in (("accuracy", _accuracy), ("f1", _f1)):
            values = [
                [value(*pair) for pair in by_policy[name] if pair[0].answers] for name in (a, b)
            ]
            if values[0]:
                comparisons.append(stats.compare(metric, a, values[0], b, values[1], seed=seed))
    return [asdict(comparison) for comparison in stats.adjust(comparisons)]


def _per_query(by_policy: Mapping[str, Sequence[_Scored]]) -> dict[str, JSON]:
    values: dict[str, JSON] = {}
    for policy, pairs in by_policy.items():
        answerable = [pair for pair in pairs if pair[0].answers]
        values[policy] = {
            "accuracy": {row.id: _accuracy(row, o) for row, o in answerable},
            "f1": {row.id: _f1(row, o) for row, o in answerable},
            "retrieved": {row.id: float(o.retrieved) for row, o in pairs},
        }
    return values


def _worst(pairs: Sequence[_Scored], policy: str) -> list[JSON]:
    """Wrong answers, lowest F1 first."""
    wrong = [pair for pair in pairs if pair[0].answers and not _accuracy(*pair)]
    return [
        {
            "query_id": row.id,
            "query": row.question,
            "policy": policy,
            "answers": list(_of(row)),
            "output": result.output,
            "retrieved": result.retrieved,
            "documents": list(result.branch.documents),
            "relevant": list(row.relevant),
        }
        for row, result in sorted(wrong, key=lambda pair: (_f1(*pair), pair[0].id))[:WORST]
    ]


def _sizes(rows: Sequence[Row]) -> dict[str, JSON]:
    return {
        "questions": len(rows),
        "answerable": sum(bool(row.answers) for row in rows),
        "unanswerable": sum(row.answers == () for row in rows),
        "without_short_answers": sum(row.answers is None for row in rows),
    }
