"""The interface of the gate's models: signals in, probabilities out.

Legend: N queries, F columns of the design, 2 ways of answering (closed book, with retrieval).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from expertrag_retriever.gate.design import Design, Matrix

WAYS = 2

Arrays = Mapping[str, NDArray[Any]]


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


class GateModel(ABC):
    """A fitted model. Its state is a set of arrays; nothing is pickled."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def fit(cls, rows: Rows, seed: int, **settings: Any) -> Self:
        """Fit on rows; ``settings`` are specific to the model."""
        ...

    @abstractmethod
    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2] of both ways for columns [N, F]."""
        ...

    @abstractmethod
    def dump(self) -> Arrays:
        """Return the state."""
        ...

    @classmethod
    @abstractmethod
    def load(cls, arrays: Arrays) -> Self:
        """Read what :meth:`dump` returned.

        :raises KeyError: the arrays belong to another model.
        """
        ...
