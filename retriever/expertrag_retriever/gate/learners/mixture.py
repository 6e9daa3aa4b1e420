"""Ensemble: the mean of several models' probabilities, more accurate than most of them alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.learners.base import Arrays, GateModel
from expertrag_retriever.gate.learners.evidential import Evidential
from expertrag_retriever.gate.learners.kernel import Kernel
from expertrag_retriever.gate.learners.linear import Linear
from expertrag_retriever.gate.learners.smoothing import Smoothing

MEMBERS: tuple[type[GateModel], ...] = (Linear, Kernel, Evidential, Smoothing)


@dataclass(frozen=True, slots=True, eq=False)
class ModelMixture(GateModel):
    """One fitted model of each kind."""

    name = "mixture"
    members: tuple[GateModel, ...]

    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2]."""
        predicted: Matrix = np.mean([member.predict(x) for member in self.members], axis=0)
        return predicted

    def dump(self) -> Arrays:
        """Return the state."""
        return {
            f"{member.name}.{name}": value
            for member in self.members
            for name, value in member.dump().items()
        }

    @classmethod
    def load(cls, arrays: Arrays) -> Self:
        """Read the state."""
        return cls(tuple(kind.load(_of(kind.name, arrays)) for kind in MEMBERS))


def _of(name: str, arrays: Arrays) -> Mapping[str, Any]:
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
