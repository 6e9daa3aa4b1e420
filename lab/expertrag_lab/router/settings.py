"""What the training of a router is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from expertrag_index.types import FloatArray

Pool = Callable[[Sequence[str]], FloatArray]
"""Mean hidden states (N, H) of texts below the first layer with experts."""


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """The size of a router: most prototypes per domain, and whitened dimensions.

    ``shrinkage``: how far the covariance is shrunk towards a sphere, in (0, 1].

    The defaults are the best of the first comparison of 1 to 8 prototypes and 32 to 256 dimensions
    on train texts of six domains. `make lab-bench-router ARGS=--compare`, on other folds, measures
    the area under the ROC curve for texts of a left-out domain. It is .860, .874, .869, .882, .895
    with 1, 2, 4, 8, 16 prototypes. It is .853, .882, .881, .856, .859 with 16, 32, 64, 128, 256
    dimensions. It is .896, .888, .882, .888 with a shrinkage of .01, .03, .1, .3. These vary by
    .015 between folds, so neither the shrinkage nor the step from 8 to 16 prototypes makes a clear
    difference. Accuracy hardly differs: .958 to .967.

    :raises ValueError: a count below 1, or a shrinkage outside (0, 1].
    """

    prototypes: int = 8
    dimensions: int = 32
    shrinkage: float = 0.1

    def __post_init__(self) -> None:
        if min(self.prototypes, self.dimensions) < 1 or not 0 < self.shrinkage <= 1:
            raise ValueError(
                f"prototypes and dimensions must be 1 or more, shrinkage in (0, 1]; got {self}"
            )
