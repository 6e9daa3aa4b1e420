"""The interface of the gate's models: signals in, probabilities out.

Legend: N queries, F columns of the design, 2 ways of answering (closed book, with retrieval).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from expertrag_retriever.gate.design import Matrix

WAYS = 2

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class GateModel(ABC):
    """A fitted model. Its state is a set of arrays; nothing is pickled."""

    name: ClassVar[str]

    @abstractmethod
    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2] of both ways for columns [N, F]."""
        ...

    def dump(self) -> Arrays:
        """Return the state."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def load(cls, arrays: Arrays) -> Self:
        """Read what :meth:`dump` returned.

        :raises KeyError: the arrays belong to another model.
        """
        return cls(*(arrays[item.name].astype(float) for item in fields(cls)))
