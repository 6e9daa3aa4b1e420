"""Chooses how much to read from the documents, by expected utility.

    utility(way) = p(right by this way) - cost · (its seconds / the seconds of one step)

One step is what the gate itself judges: k passages of one search. The other ways are one passage,
and several searches. Each has its own predictor, fitted on the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expertrag_retriever.gate.fitting import Predictor
from expertrag_retriever.gate.signals import Signals

ONE_STEP = "one_step"


@dataclass(frozen=True, slots=True)
class Reading:
    """A way of reading: ``k`` passages of ``steps`` searches; None leaves it as requested."""

    k: int | None = None
    steps: int | None = None


READINGS: Mapping[str, Reading] = {
    "one_passage": Reading(k=1, steps=1),
    "multi_step": Reading(steps=2),
}
"""What a gate may choose instead of one step; the names are those of the rows' answers."""


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A way of reading that a gate may choose. ``seconds`` are relative to one step."""

    predictor: Predictor
    seconds: float


@dataclass(frozen=True, slots=True)
class WayChoice:
    """The way with the highest utility, and p(right) of all ways."""

    name: str
    p_right: Mapping[str, float]


def choose(ways: Mapping[str, Way], signals: Signals, p_one_step: float, cost: float) -> WayChoice:
    """Choose a way to read for one query.

    :param cost: accuracy that one step must gain to be worthwhile.
    """
    p_right = {ONE_STEP: p_one_step} | {
        name: float(way.predictor.predict([signals]).retrieval[0]) for name, way in ways.items()
    }
    return WayChoice(best_of(p_right, relative_seconds(ways), cost), p_right)


def relative_seconds(ways: Mapping[str, Way]) -> dict[str, float]:
    """Seconds of each way, including one step, relative to one step."""
    return {ONE_STEP: 1.0} | {name: way.seconds for name, way in ways.items()}


def best_of(p_right: Mapping[str, float], seconds: Mapping[str, float], cost: float) -> str:
    """Return the name of the way with the highest utility; one step wins ties."""
    names: Sequence[str] = list(p_right)
    return max(names, key=lambda name: p_right[name] - cost * seconds[name])
