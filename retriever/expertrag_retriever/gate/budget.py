"""A retrieval rate that is kept: a threshold with a guarantee, and one that follows the stream.

Legend: N scores p(benefit) of questions like those to come, in any order.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from expertrag_retriever.errors import GateError

MAX_VIOLATION = 0.1
"""Default of the probability that the promise of ``guaranteed_threshold`` fails."""

NOTHING = float(np.nextafter(1.0, 2.0))
"""Threshold that no p(benefit) reaches."""

STEP = 0.01
"""Of the controller in the long run: it forgets over some 1 / STEP questions."""

FIRST_STEP = 0.25
"""Of a controller that knows no scores, at its first question. A start at 0.5 needs two steps of
this size to where everything is retrieved, or nothing, and 50 of the long run's."""

MAX_DEBT = 1.0
"""How far beyond its ends the rank may go, in units of rank: 1 / STEP questions' worth."""


def nominal_count(scores: int, target: float) -> int:
    """How many of N scores may lie above the threshold for their own rate to be at most ``target``.

    On other questions that threshold exceeds the target about as often as not.
    """
    return int(target * scores)


def guaranteed_count(
    scores: int, target: float, max_violation: float = MAX_VIOLATION
) -> int | None:
    """How many of N scores may lie above the threshold for ``target`` to hold from now on.

    The rate in the population that the scores were drawn from is then at most ``target`` with
    probability 1 - ``max_violation``, whatever its distribution: the share above the k-th largest
    of N independent scores is Beta(k, N - k + 1) distributed (Wilks 1941), exact for continuous
    scores and on the safe side of equal ones. The inequality of Dvoretzky, Kiefer and Wolfowitz
    (Massart 1990) promises the same with a wider margin, sqrt(ln(1 / max_violation) / 2N).

    None where no threshold can promise it: the scores are too few.
    """
    from scipy import special

    if target >= 1.0:
        return scores
    ranks = np.arange(1, scores + 1)  # k
    # P(Beta(k, N - k + 1) > target) = P(Binomial(N, target) < k); scipy.stats takes long to load
    kept = int((special.bdtr(ranks - 1, scores, target) <= max_violation).sum())
    return kept - 1 if kept else None  # the k-th largest is itself not above the threshold


def guaranteed_threshold(
    scores: Sequence[float], target: float, max_violation: float = MAX_VIOLATION
) -> float:
    """Return the lowest threshold on p(benefit) that keeps the rate as ``guaranteed_count`` says.

    More than 1 where no threshold can promise it.

    :param scores: p(benefit) of questions like those to come, [N].
    """
    count = guaranteed_count(len(scores), target, max_violation)
    if count is None:
        return NOTHING
    if count >= len(scores):
        return 0.0
    return float(np.nextafter(np.sort(np.array(scores, float))[::-1][count], np.inf))


@dataclass(frozen=True, slots=True)
class RateState:
    """Where a controller stands: its ``rank``, decisions so far, and those that retrieved."""

    rank: float
    decided: int
    retrieved: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rank) and 0 <= self.retrieved <= self.decided):
            raise GateError(f"{self} is no state of a rate controller: leave it out to begin anew")

    def to_json(self) -> str:
        """Write it as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RateState:
        """Read what ``to_json`` wrote.

        :raises GateError: it is something else.
        """
        try:
            item = json.loads(text)
            return cls(float(item["rank"]), int(item["decided"]), int(item["retrieved"]))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise GateError(
                f"{text[:80]!r} is no state of a rate controller: leave it out to begin anew"
            ) from error


class RateController:
    """Holds the retrieval rate of a stream, whatever its questions turn into. Thread-safe.

    After decision t the threshold, a rank among N known scores in [0, 1], moves by step(t) times
    (retrieved - target), as in adaptive conformal inference (Gibbs & Candes 2021), with

        step(t) = max(STEP, FIRST_STEP / sqrt(N + t))

    which falls (Angelopoulos, Barber & Bates 2024), so that a controller that knows little soon
    finds its place. Over the first T decisions the rate is therefore within
    (1 + step(1)) / (step(T) * T) of the target for any sequence of scores, even one that a foe has
    chosen: there are never more than 125 retrievals too many. Decisions of D questions at a time
    see a threshold that is D - 1 decisions old: 1 + D * step(1) then stands for 1 + step(1), as
    long as D * step(1) is below MAX_DEBT.

    Equal scores are not parted by chance: they retrieve together until the threshold has passed
    them, then not until it is back, so that a decision is always what ``threshold`` says. Targets
    of 0 and 1 hold from the first question on.

    Decisions that others force (``observe`` of what ``threshold`` does not say) count, but the debt
    that they leave is limited by MAX_DEBT: 100 retrievals too many are made good, 10,000 are not,
    or nobody else would get a document for a day.
    """

    def __init__(self, target: float, scores: Sequence[float] = (), start: float = 0.5) -> None:
        """Begin.

        :param target: the retrieval rate to hold, in [0, 1].
        :param scores: p(benefit) of known questions, [N]; without them a score is its own rank.
        :param start: threshold on p(benefit) to begin with.
        """
        self.target = target
        self._scores = np.sort(np.array(scores, float))
        self._lock = threading.Lock()
        self._decided = self._retrieved = 0
        # (N + 1) / N, the rank above all of few scores, would be a debt before the first question
        self._rank = min(self._rank_of(start), 1.0 + self._step() * (1.0 - target))

    @property
    def threshold(self) -> float:
        """The threshold on p(benefit) now; more than 1 where nothing is to be retrieved."""
        if self.target <= 0.0:
            return NOTHING
        if self.target >= 1.0:
            return 0.0
        with self._lock:
            rank = self._rank
        if rank > 1.0:
            return NOTHING
        if not len(self._scores):
            return max(rank, 0.0)
        place = int(np.ceil(rank * len(self._scores))) - 1
        return float(self._scores[place]) if place >= 0 else 0.0

    @property
    def state(self) -> RateState:
        """Where it stands now."""
        with self._lock:
            return RateState(self._rank, self._decided, self._retrieved)

    def restore(self, state: RateState) -> None:
        """Go on from where a controller of the same target and scores stood."""
        with self._lock:
            self._rank = _clipped(state.rank)
            self._decided, self._retrieved = state.decided, state.retrieved

    def observe(self, *, retrieved: bool) -> None:
        """Take note of a decision."""
        with self._lock:
            step = self._step()
            self._decided += 1
            self._retrieved += retrieved
            self._rank = _clipped(self._rank + step * (float(retrieved) - self.target))

    def _step(self) -> float:
        """Return the step of the decision that comes next."""
        return max(STEP, FIRST_STEP / math.sqrt(len(self._scores) + self._decided + 1))

    def _rank_of(self, score: float) -> float:
        """Share of the known scores that lie below."""
        if not len(self._scores):
            return score
        return float(np.searchsorted(self._scores, score, side="left") + 1) / len(self._scores)


def _clipped(rank: float) -> float:
    return min(max(rank, -MAX_DEBT), 1.0 + MAX_DEBT)
