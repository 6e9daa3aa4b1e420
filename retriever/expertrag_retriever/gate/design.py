"""Turns signals into the columns of a matrix, identically in fitting and in serving.

Numbers are standardised. Vectors are standardised and then reduced to their principal components,
which hold what the gate can learn from a few thousand rows.

Legend: N queries, F columns, D dimensions of a vector, C components.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expertrag_retriever.gate.signals import SignalGroup, Signals

_MOST_DEVIATIONS = 5.0  # values further out are clipped: they carry no more information

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Signals that belong together: the numbers of a group, or one vector.

    ``names`` of the numbers; empty for a vector, which has ``components`` [D, C] instead.
    ``mean`` and ``deviation`` [D] of the fitted rows; for numbers, D is the number of names.
    """

    name: str
    group: SignalGroup
    names: tuple[str, ...]
    mean: Matrix
    deviation: Matrix
    components: Matrix | None = None

    @property
    def columns(self) -> int:
        """The number of columns of the block."""
        return len(self.mean) if self.components is None else self.components.shape[1]

    def values(self, rows: Sequence[Signals]) -> Matrix:
        """Return the columns of queries, [N, columns]; a missing signal is 0."""
        raw = (
            number_columns(self.names, rows)
            if self.names
            else vector_columns(self.name, self.mean, rows)
        )
        values = (raw - self.mean) / self.deviation
        values = np.clip(np.nan_to_num(values, nan=0.0), -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        return values if self.components is None else values @ self.components

    def within(self, signals: Signals) -> bool:
        """Whether a query has any signal of the block."""
        if self.names:
            return any(name in signals.numbers for name in self.names)
        return self.name in signals.vectors


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """All blocks, side by side.

    A signal that a query lacks is set to its mean, 0, and so carries no evidence.
    """

    blocks: tuple[Block, ...]
    slices: Mapping[str, slice] = field(init=False)
    """The columns of each block, by its name."""

    def __post_init__(self) -> None:
        ends = np.cumsum([0, *(block.columns for block in self.blocks)]).tolist()
        slices = {
            block.name: slice(start, stop)
            for block, start, stop in zip(self.blocks, ends[:-1], ends[1:], strict=True)
        }
        object.__setattr__(self, "slices", slices)

    @property
    def columns(self) -> int:
        """The number of columns, F."""
        return sum(block.columns for block in self.blocks)

    def matrix(self, rows: Sequence[Signals]) -> Matrix:
        """Return the columns of queries, [N, F]."""
        return np.concatenate([block.values(rows) for block in self.blocks], axis=1)

    def dump(self) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
        """Return the blocks as JSON and their arrays by name; components in half precision."""
        about, arrays = [], {}
        for block in self.blocks:
            about.append(
                {"name": block.name, "group": str(block.group), "names": list(block.names)}
            )
            arrays[f"{block.name}.mean"] = block.mean
            arrays[f"{block.name}.deviation"] = block.deviation
            if block.components is not None:
                arrays[f"{block.name}.components"] = block.components.astype(np.float16)
        return about, arrays

    @classmethod
    def load(cls, about: Sequence[Mapping[str, Any]], arrays: Mapping[str, Any]) -> Design:
        """Read what :meth:`dump` returned."""
        return cls(
            tuple(
                Block(
                    item["name"],
                    SignalGroup(item["group"]),
                    tuple(item["names"]),
                    arrays[f"{item['name']}.mean"],
                    arrays[f"{item['name']}.deviation"],
                    None
                    if item["names"]
                    else arrays[f"{item['name']}.components"].astype(np.float64),
                )
                for item in about
            )
        )


def number_columns(names: Sequence[str], rows: Sequence[Signals]) -> Matrix:
    """Raw values, [N, D]; NaN where one is missing."""
    values = [[row.numbers.get(name, np.nan) for name in names] for row in rows]
    raw: Matrix = np.array(values, float).reshape(len(rows), len(names))
    raw[~np.isfinite(raw)] = np.nan
    return raw


def vector_columns(name: str, mean: Matrix, rows: Sequence[Signals]) -> Matrix:
    """Raw vectors, [N, D]; the mean where one is missing."""
    return np.array([row.vectors.get(name, mean) for row in rows], float).reshape(-1, len(mean))
