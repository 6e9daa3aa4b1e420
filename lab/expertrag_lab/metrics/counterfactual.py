"""Counterfactual rows as arrays: which outputs are right, and how many LM calls each way costs.

An output is right if it contains an accepted answer (``squad.contains``). If ``answers`` is empty,
the corpus holds no answer and both outputs are wrong. Legend: N rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expertrag_lab.data.types import Row
from expertrag_lab.metrics.squad import contains

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """The rows of one set, or of all; arrays are [N].

    ``never``, ``always`` and ``multi_step``: whether that output is right; ``multi_step`` is None
    unless every row has it. ``calls_*`` are the LM calls of the two ways of answering, 1 if nothing
    was recorded.
    """

    ids: tuple[str, ...]
    never: Bools
    always: Bools
    multi_step: Bools | None
    calls_never: Floats
    calls_always: Floats

    @property
    def benefit(self) -> Bools:
        """Rows where only the answer with retrieval is right."""
        return self.always & ~self.never

    @property
    def harm(self) -> Bools:
        """Rows where only the closed-book answer is right."""
        return self.never & ~self.always

    def accuracy(self, retrieval: Floats) -> Floats:
        """Probability of a right answer if each row retrieves with the given probability."""
        return np.where(self.always, retrieval, 0.0) + np.where(self.never, 1.0 - retrieval, 0.0)

    def calls(self, retrieval: Floats) -> Floats:
        """LM calls expected if each row retrieves with the given probability."""
        return retrieval * self.calls_always + (1.0 - retrieval) * self.calls_never


def counterfactual(rows: Sequence[Row]) -> Counterfactual:
    """Score the outputs of rows that have accepted answers."""
    recorded = [row.recorded for row in rows]
    multi_step = [(row.multi_step, row.answers or ()) for row in rows if row.multi_step is not None]
    return Counterfactual(
        ids=tuple(row.id for row in rows),
        never=_right((row.never, row.answers or ()) for row in rows),
        always=_right((row.one_step, row.answers or ()) for row in rows),
        multi_step=_right(multi_step) if len(multi_step) == len(rows) else None,
        calls_never=np.array([item.never.lm_calls if item else 1 for item in recorded], float),
        calls_always=np.array([item.one_step.lm_calls if item else 1 for item in recorded], float),
    )


def pool(sets: Sequence[Counterfactual]) -> Counterfactual:
    """Concatenate the rows of several sets."""
    multi_step = [rows.multi_step for rows in sets if rows.multi_step is not None]
    return Counterfactual(
        ids=tuple(itertools.chain.from_iterable(rows.ids for rows in sets)),
        never=np.concatenate([rows.never for rows in sets]),
        always=np.concatenate([rows.always for rows in sets]),
        multi_step=np.concatenate(multi_step) if len(multi_step) == len(sets) else None,
        calls_never=np.concatenate([rows.calls_never for rows in sets]),
        calls_always=np.concatenate([rows.calls_always for rows in sets]),
    )


def _right(outputs: Iterable[tuple[str, Sequence[str]]]) -> Bools:
    return np.array([contains(output, answers) for output, answers in outputs], bool)
