"""Value objects of measures. Importing this module loads only the standard library."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over ``n`` queries with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired comparison of two systems on the same ``n`` queries.

    ``difference`` is the mean of b minus a with its 95 % bootstrap interval. ``p_t`` is of the
    paired t-test, ``p_fisher`` of Fisher's randomisation test, both two-sided; ``*_holm`` are
    adjusted for all comparisons made together (Holm 1979).
    """

    metric: str
    a: str
    b: str
    n: int
    difference: float
    low: float
    high: float
    p_t: float
    p_fisher: float
    p_t_holm: float
    p_fisher_holm: float
