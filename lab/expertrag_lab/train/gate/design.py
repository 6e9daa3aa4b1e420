"""Fits the design of a gate: what turns the signals of its rows into columns.

Legend: N queries, F columns, D dimensions of a vector, C components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expertrag_retriever.errors import GateError
from expertrag_retriever.gate.design import Block, Design, Matrix, number_columns, vector_columns
from expertrag_retriever.gate.signals import SignalGroup, Signals, group_of

GATE_GROUPS = (
    SignalGroup.QUESTION,
    SignalGroup.DOMAIN,
    SignalGroup.STORE,
    SignalGroup.PREFILL,
    SignalGroup.DRAFT,
)
"""Groups of signals that a gate can use."""

COMPONENTS = 64
"""C. Tried 32 to 384: 64 loses nothing on AdaRAGUE's development rows and fits in a fifth of the
time."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows that a model is fitted on.

    ``x`` [N, F] are the columns of ``design``; ``right`` [N, 2] is whether the closed-book answer
    and the one with retrieval were right.
    """

    x: Matrix
    right: NDArray[np.bool_]
    design: Design

    def take(self, chosen: NDArray[Any]) -> Rows:
        """Return some of the rows."""
        return Rows(self.x[chosen], self.right[chosen], self.design)


def fit_design(rows: Sequence[Signals], groups: Sequence[SignalGroup]) -> Design:
    """Build a design from the signals of ``groups`` that vary over the rows.

    :raises GateError: there is no such signal.
    """
    blocks = [
        block
        for group in groups
        for block in (_fit_numbers(rows, group), *_fit_vectors(rows, group))
        if block is not None
    ]
    if not blocks:
        raise GateError(
            f"no signal of {', '.join(groups)} varies over the rows: record rows with a model "
            "and a store, or choose other signals"
        )
    return Design(tuple(blocks))


def _fit_numbers(rows: Sequence[Signals], group: SignalGroup) -> Block | None:
    names = sorted({name for row in rows for name in row.numbers if group_of(name) is group})
    raw = number_columns(names, rows)
    varying = [
        column
        for column in range(len(names))
        if len(np.unique(raw[np.isfinite(raw[:, column]), column])) > 1
    ]
    if not varying:
        return None
    raw = raw[:, varying]
    return Block(
        f"{group} numbers",
        group,
        tuple(names[column] for column in varying),
        np.nanmean(raw, axis=0),
        np.nanstd(raw, axis=0),
    )


def _fit_vectors(rows: Sequence[Signals], group: SignalGroup) -> list[Block]:
    sizes = {
        name: len(vector)
        for row in rows
        for name, vector in row.vectors.items()
        if group_of(name) is group
    }
    return [_fit_vector(name, size, rows, group) for name, size in sorted(sizes.items())]


def _fit_vector(name: str, size: int, rows: Sequence[Signals], group: SignalGroup) -> Block:
    raw = vector_columns(name, np.zeros(size), [row for row in rows if name in row.vectors])
    mean, deviation = raw.mean(axis=0), raw.std(axis=0)
    block = Block(name, group, (), mean, np.where(deviation > 0, deviation, 1.0))
    values = block.values(rows)
    _, directions = np.linalg.eigh(values.T @ values)  # ascending
    components = directions[:, ::-1][:, :COMPONENTS]
    signs = np.sign(components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])])
    rounded = (components * signs).astype(np.float16).astype(np.float64)  # as it is written
    return Block(name, group, (), block.mean, block.deviation, rounded)
