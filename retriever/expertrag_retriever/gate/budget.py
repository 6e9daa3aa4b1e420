"""A retrieval rate that is kept: a threshold with a guarantee, and one that follows the stream.

Legend: N scores p(benefit) of questions like those to come, in any order.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

MAX_VIOLATION = 0.1
"""Default of the probability that the promise of ``guaranteed_threshold`` fails."""

NOTHING = float(np.nextafter(1.0, 2.0))
"""Threshold that no p(benefit) reaches."""

STEP = 0.01
"""Of the controller: it forgets over some 1 / STEP questions."""


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
    from scipy import stats

    if target >= 1.0:
        return scores
    ranks = np.arange(1, scores + 1)  # k
    kept = int((stats.beta.sf(target, ranks, scores - ranks + 1) <= max_violation).sum())
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


class RateController:
    """Holds the retrieval rate of a stream, whatever its questions turn into. Thread-safe.

    After each decision the threshold, a rank among known scores in [0, 1], moves by STEP times
    (retrieved - target), as in adaptive conformal inference (Gibbs & Candes 2021). Over the first T
    decisions by that threshold the rate is therefore within (1 + STEP) / (STEP · T) of the target
    for any sequence of scores, even one that a foe has chosen: there are never more than some 100
    retrievals too many. Decisions by other thresholds may be observed, too; they move the rank no
    further than those do.
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
        # Decisions by the threshold never leave these bounds; others (a caller's own threshold) are
        # not to be paid back for longer than they.
        self._most = 1.0 + 1.0 / max(len(self._scores), 1) + STEP
        self._rank = min(self._rank_of(start), self._most)

    @property
    def threshold(self) -> float:
        """The threshold on p(benefit) now; more than 1 where nothing is to be retrieved."""
        with self._lock:
            rank = self._rank
        if rank > 1.0:
            return NOTHING
        if not len(self._scores):
            return max(rank, 0.0)
        place = int(np.ceil(rank * len(self._scores))) - 1
        return float(self._scores[place]) if place >= 0 else 0.0

    def observe(self, *, retrieved: bool) -> None:
        """Take note of a decision."""
        with self._lock:
            moved = self._rank + STEP * (float(retrieved) - self.target)
            self._rank = min(max(moved, -STEP), self._most)

    def _rank_of(self, score: float) -> float:
        """Share of the known scores that lie below."""
        if not len(self._scores):
            return score
        return float(np.searchsorted(self._scores, score, side="left") + 1) / len(self._scores)
