"""The cost model of ExpertRAG (Gumaan 2025) compared with measured time.

    C = C_gate + p · (C_retrieve + C_generate(long prompt)) + (1 - p) · C_generate(short prompt)

Stage costs are mean seconds over all questions. Each question is answered with NEVER, ALWAYS and
AUTO in turn, in one process, with an empty prefix cache each time. The share p is the share that
AUTO retrieved. The error against AUTO's measured mean shows what the formula leaves out. A
closed-book answer continues from the gate's prefill (``with_reuse`` subtracts it once), and
questions that retrieve are not average questions.

``pooled`` and each of ``sets`` contain ``n``, ``rate``, ``stages`` {gate, retrieve, generate_long,
generate_short, prefill}, ``predicted`` {formula, with_reuse} and ``measured`` {auto, never,
always}. They also contain ``error`` {formula, with_reuse}, relative to the measured mean, and
``error_interval``, the 95 % bootstrap interval of the formula's error. Times are in seconds per
question.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from expertrag.api.errors import ExpertRAGError
from expertrag.api.folding import fold
from expertrag.api.types import GATE_STAGES, Answer, GateMode
from expertrag_lab.data.datasets import Query
from expertrag_lab.data.resume import Failures
from expertrag_lab.data.types import JSON, Skipped
from expertrag_lab.eval.manifest import RunManifest
from expertrag_lab.eval.policies import REUSED
from expertrag_lab.eval.questions import Asked
from expertrag_lab.eval.record import Recording

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expertrag_index.types import Progress

RESAMPLES = 2000
_MODES = (GateMode.NEVER, GateMode.ALWAYS, GateMode.AUTO)


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of one question. ``auto``, ``never`` and ``always`` are end-to-end wall time."""

    id: str
    retrieved: bool
    gate: float
    prefill: float
    retrieve: float
    generate_long: float
    generate_short: float
    auto: float
    never: float
    always: float


def time_questions(
    asked: Asked, recording: Recording, progress: Progress
) -> tuple[tuple[Timed, ...], tuple[Skipped, ...]]:
    """Answer each question in all three modes, in rotating order, after a warm-up question.

    :raises Unavailable: the model failed several times in a row, or on every question.
    """
    failures = Failures("nothing was kept: timings of different runs cannot be combined")
    timed = []
    stage, total = f"{asked.dataset.name}: timing", len(asked.queries)
    with contextlib.suppress(ExpertRAGError):  # warm-up; a failure is counted when asked again
        _answers(asked.queries[0], _MODES, asked, recording)
    for number, query in enumerate(asked.queries):
        progress(stage, number, total)
        turned = _MODES[number % 3 :] + _MODES[: number % 3]
        with failures.count(query.id):
            timed.append(_row(query, _answers(query, turned, asked, recording)))
    progress(stage, total, total)
    failures.check_any_left(timed)
    skipped = (*asked.opened.skipped, *asked.dataset.skipped, *failures.skipped)
    return tuple(timed), skipped


def cost_report(
    sets: Mapping[str, Sequence[Timed]],
    manifest: RunManifest,
    skipped: Mapping[str, Sequence[Skipped]],
    *,
    seed: int = 0,
) -> dict[str, JSON]:
    """Compare predicted and measured time, for all questions and by data set."""
    pooled = [row for rows in sets.values() for row in rows]
    return {
        "kind": "cost",
        "manifest": asdict(manifest),
        "pooled": _figures(pooled, seed),
        "sets": {name: _figures(rows, seed) for name, rows in sets.items()},
        "per_query": {
            name: {
                "auto": {"seconds": {row.id: row.auto for row in rows}},
                "never": {"seconds": {row.id: row.never for row in rows}},
                "always": {"seconds": {row.id: row.always for row in rows}},
            }
            for name, rows in sets.items()
        },
        "skipped": {name: [asdict(item) for item in items] for name, items in skipped.items()},
    }


def _answers(
    query: Query, modes: Sequence[GateMode], asked: Asked, recording: Recording
) -> Mapping[GateMode, tuple[Answer, float]]:
    """Answer in these modes, one after the other, and return answers with wall seconds.

    No mode continues from the prefill of another: in use, a question is asked once.
    """
    answers = {}
    for mode in modes:
        asked.opened.generator.reset_prefix_cache()
        started = time.perf_counter()
        answer = fold(asked.opened.pipeline.answer(recording.request(query.text, mode)))
        answers[mode] = answer, time.perf_counter() - started
    return answers


def _row(query: Query, answers: Mapping[GateMode, tuple[Answer, float]]) -> Timed:
    never, always, auto = (answers[mode][0].usage.stage_seconds for mode in _MODES)
    return Timed(
        id=query.id,
        retrieved=answers[GateMode.AUTO][0].decision.retrieve,
        gate=sum(auto.get(stage, 0.0) for stage in GATE_STAGES),
        prefill=sum(auto.get(stage, 0.0) for stage in REUSED),
        retrieve=always.get("search", 0.0),
        generate_long=sum(always.get(stage, 0.0) for stage in ("generate", "verify", "ground")),
        generate_short=never.get("generate", 0.0),
        auto=answers[GateMode.AUTO][1],
        never=answers[GateMode.NEVER][1],
        always=answers[GateMode.ALWAYS][1],
    )


def _figures(rows: Sequence[Timed], seed: int) -> dict[str, JSON]:
    import numpy as np

    if not rows:
        return {"n": 0}
    names = ("retrieved", "gate", "prefill", "retrieve", "generate_long", "generate_short")
    columns = (*names, "auto", "never", "always")
    table = np.array([[float(getattr(row, name)) for name in columns] for row in rows])  # [N, C]
    draws = np.random.default_rng(seed).integers(len(rows), size=(RESAMPLES, len(rows)))
    resampled = table[draws].mean(axis=1)  # [R, C]
    mean = dict(zip(columns, table.mean(axis=0).tolist(), strict=True))
    formula, with_reuse = (float(value) for value in _predict(table.mean(axis=0)))
    errors = _predict(resampled.T)[0] / resampled[:, columns.index("auto")] - 1.0
    low, high = np.quantile(errors, [0.025, 0.975]).tolist()
    return {
        "n": len(rows),
        "rate": mean["retrieved"],
        "stages": {name: mean[name] for name in names[1:]},
        "predicted": {"formula": formula, "with_reuse": with_reuse},
        "measured": {name: mean[name] for name in ("auto", "never", "always")},
        "error": {
            "formula": formula / mean["auto"] - 1.0,
            "with_reuse": with_reuse / mean["auto"] - 1.0,
        },
        "error_interval": [low, high],
    }


def _predict(
    columns: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Apply the formula to means [C, ...] in the order of ``_figures``, without and with reuse."""
    p, gate, prefill, retrieve, generate_long, generate_short = columns[:6]
    formula = gate + p * (retrieve + generate_long) + (1 - p) * generate_short
    return formula, formula - (1 - p) * prefill
