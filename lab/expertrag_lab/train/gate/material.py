"""Training material of a gate: signals of counterfactual rows, and which answers were right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expertrag.api.errors import InvalidArgument
from expertrag.llm.abstentions import is_abstention
from expertrag.runtime.error_mapping import translate_errors
from expertrag_lab.metrics.calibration import auc
from expertrag_lab.metrics.frontier import frontier
from expertrag_lab.metrics.squad import contains
from expertrag_lab.reliability import ece
from expertrag_lab.train.gate.predictor import check_rows
from expertrag_lab.train.gate.signals import RECORDED, SignalSource
from expertrag_retriever.gate.predictor import Predictions
from expertrag_retriever.gate.signals import SignalGroup, Signals

if TYPE_CHECKING:
    from expertrag_index.types import Progress
    from expertrag_lab.data.types import Row, RowSet


MISS_COST = 7.0
"""Cost of a miss, in wasted searches.

A wasted search costs a second or two. A miss, an answer from the model's memory to a question that
the documents answer, costs a user's trust in all answers.
"""


@dataclass(frozen=True, slots=True, eq=False)
class GateMaterial:
    """Rows to learn from: their signals, and which of their two answers were right, [N, 2].

    If a request needs no documents, the closed-book answer counts as right, and so does the answer
    with retrieval unless it abstains. Retrieval gains nothing and may lose the answer.
    """

    signals: list[Signals]
    right: NDArray[np.bool_]

    @property
    def never(self) -> NDArray[np.bool_]:
        """Whether the closed-book answers were right, [N]."""
        return self.right[:, 0]

    @property
    def always(self) -> NDArray[np.bool_]:
        """Whether the answers with retrieval were right, [N]."""
        return self.right[:, 1]

    def take(self, chosen: NDArray[np.bool_]) -> GateMaterial:
        """Return some of the rows."""
        signals = [row for row, wanted in zip(self.signals, chosen, strict=True) if wanted]
        return GateMaterial(signals, self.right[chosen])

    @property
    def benefit(self) -> NDArray[np.bool_]:
        """Whether only the answer with retrieval was right, [N]."""
        return self.always & ~self.never


def default_groups(row_sets: Sequence[RowSet]) -> tuple[SignalGroup, ...]:
    """Return the signal groups to fit on: the free ones of recorded rows, else drafts.

    A gate on drafts needs a whole closed-book answer before it decides.
    """
    if all(row.recorded for row_set in row_sets for row in row_set.rows):
        return (SignalGroup.QUESTION, *RECORDED)
    return (SignalGroup.QUESTION, SignalGroup.DRAFT)


def fitting_material(
    row_sets: Sequence[RowSet], source: SignalSource, progress: Progress
) -> GateMaterial:
    """Compute the material of a fit, for which there are enough rows of every kind.

    :raises InvalidArgument: as :func:`material` does; or there are too few rows, which is checked
        before the signals are measured.
    """
    with translate_errors():
        check_rows(_labels(_learnable(row_sets)))
    return material(row_sets, source, progress)


def material(row_sets: Sequence[RowSet], source: SignalSource, progress: Progress) -> GateMaterial:
    """Compute signals and labels of the rows that can be learned from.

    :raises InvalidArgument: no row can be learned from, or signals are missing.
    """
    kept = _learnable(row_sets)
    signals = [item for some in kept for item in source.measure(some, progress)]
    return GateMaterial(signals, _labels(kept))


def _learnable(row_sets: Sequence[RowSet]) -> list[RowSet]:
    kept = [
        replace(row_set, rows=rows)
        for row_set in row_sets
        if (rows := tuple(row for row in row_set.rows if row.answers or not row.needs_documents))
    ]
    if not kept:
        raise InvalidArgument(
            "no row has accepted answers to score outputs against; pass rows of a data set with "
            "short answers"
        )
    return kept


def _labels(row_sets: Sequence[RowSet]) -> NDArray[np.bool_]:
    """Return which answers are right: [N, 2], closed book and with retrieval."""
    return np.array([_right(row) for some in row_sets for row in some.rows], bool)


def passages_judged(row_sets: Sequence[RowSet]) -> tuple[list[Signals], list[bool]]:
    """Return signals of retrieved passages, and whether the passages held an answer.

    Uses the recorded rows that say so: those whose accepted answers are known.
    """
    branches = [
        row.recorded.one_step
        for row_set in row_sets
        for row in row_set.rows
        if row.recorded and row.recorded.one_step.sufficient is not None
    ]
    return [Signals(branch.evidence) for branch in branches], [
        bool(branch.sufficient) for branch in branches
    ]


def _right(row: Row) -> tuple[bool, bool]:
    if not row.needs_documents:
        return True, not is_abstention(row.one_step)
    answers = row.answers or ()
    return contains(row.never, answers), contains(row.one_step, answers)


def best_threshold(predicted: Predictions, rows: GateMaterial, cost: float) -> float:
    """Return the threshold on p(benefit) with the best accuracy - cost x retrieval rate.

    It is capped at 1 / (1 + ``MISS_COST``): above that, a search costs less than a miss.
    """
    points = np.array(frontier(predicted.benefit, rows.never, rows.always))  # [G + 1, 2]
    levels = np.append(np.inf, np.unique(predicted.benefit)[::-1])  # [G + 1]
    best = int(np.argmax(points[:, 1] - cost * points[:, 0]))
    return float(min(levels[best], 1.0 / (1.0 + MISS_COST)))


def figures(predicted: Predictions, rows: GateMaterial, threshold: float) -> dict[str, Any]:
    """Compute the figures of a gate on rows."""
    retrieved = predicted.benefit >= threshold
    return {
        "rows": len(rows.right),
        "auc_benefit": auc(predicted.benefit.tolist(), rows.benefit.tolist()),
        "ece_benefit": ece(predicted.benefit.tolist(), rows.benefit.tolist()),
        "ece_closed_book": ece(predicted.closed.tolist(), rows.never.tolist()),
        "accuracy": float(np.where(retrieved, rows.always, rows.never).mean()),
        "retrieval_rate": float(retrieved.mean()),
        "never": float(rows.never.mean()),
        "always": float(rows.always.mean()),
        "oracle": float(rows.right.any(axis=1).mean()),
    }
