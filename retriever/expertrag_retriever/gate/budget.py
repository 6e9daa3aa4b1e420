"""Retrieval budgets: a threshold that guarantees a rate, and one that adapts to the stream.

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
"""Default probability that the guarantee of ``guarantee_threshold`` fails."""

NOTHING = float(np.nextafter(1.0, 2.0))
"""Threshold that no p(benefit) reaches."""

STEP = 0.01
"""Long-run step of the controller: it forgets over about 1 / STEP questions."""

FIRST_STEP = 0.25
"""First step of a controller that knows no scores.

Starting at 0.5, two steps of this size reach the point where everything, or nothing, is retrieved.
With the long-run size it takes 50 steps.
"""

MAX_DEBT = 1.0
"""How far the rank may go beyond [0, 1], in units of rank: worth 1 / STEP questions."""


def count_nominal(scores: int, target: float) -> int:
    """Return how many of N scores may be above the threshold to keep their rate within ``target``.

    On other questions, the rate exceeds the target about half of the time.
    """
    return int(target * scores)


def count_guaranteed(
    scores: int, target: float, max_violation: float = MAX_VIOLATION
) -> int | None:
    """Return how many of N scores may be above the threshold for ``target`` to hold in the future.

    The rate in the population that the scores were drawn from is then at most ``target`` with
    probability 1 - ``max_violation``, whatever its distribution. The share above the k-th largest
    of N independent scores is Beta(k, N - k + 1) distributed (Wilks 1941). This is exact for
    continuous scores and conservative with ties. The inequality of Dvoretzky, Kiefer and Wolfowitz
    (Massart 1990) gives the same guarantee with a wider margin, sqrt(ln(1 / max_violation) / 2N).

    Returns None if there are too few scores for any threshold to guarantee it.
    """
    from scipy import special

    if target >= 1.0:
        return scores
    ranks = np.arange(1, scores + 1)  # k
    # P(Beta(k, N - k + 1) > target) = P(Binomial(N, target) < k); scipy.stats takes long to load
    count = int((special.bdtr(ranks - 1, scores, target) <= max_violation).sum())
    return count - 1 if count else None  # the k-th largest itself is not above the threshold


def guarantee_threshold(
    scores: Sequence[float], target: float, max_violation: float = MAX_VIOLATION
) -> float:
    """Return the lowest threshold on p(benefit) with the guarantee of ``count_guaranteed``.

    Greater than 1 if no threshold can guarantee it.

    :param scores: p(benefit) of questions like those to come, [N].
    """
    count = count_guaranteed(len(scores), target, max_violation)
    if count is None:
        return NOTHING
    if count >= len(scores):
        return 0.0
    return float(np.nextafter(np.sort(np.array(scores, float))[::-1][count], np.inf))


@dataclass(frozen=True, slots=True)
class RateState:
    """State of a controller: its ``rank``, the decisions so far, and how many retrieved."""

    rank: float
    decided: int
    retrieved: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rank) and 0 <= self.retrieved <= self.decided):
            raise GateError(f"{self} is not a rate controller's state: omit it to start afresh")

    def to_json(self) -> str:
        """Write it as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RateState:
        """Read what ``to_json`` wrote.

        :raises GateError: the text is not such a state.
        """
        try:
            item = json.loads(text)
            return cls(float(item["rank"]), int(item["decided"]), int(item["retrieved"]))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise GateError(
                f"{text[:80]!r} is not a rate controller's state: omit it to start afresh"
            ) from error


class RateController:
    """Holds the retrieval rate of a stream of questions, even if it changes. Thread-safe.

    The threshold is a rank among N known scores in [0, 1]. After decision t it moves by step(t)
    times (retrieved - target), as in adaptive conformal inference (Gibbs & Candes 2021), with

        step(t) = max(STEP, FIRST_STEP / sqrt(N + t))

    which decreases (Angelopoulos, Barber & Bates 2024), so that a controller without history
    converges quickly. Over the first T decisions the rate is within (1 + step(1)) / (step(T) * T)
    of the target for any sequence of scores, even an adversarial one. There are never more than 125
    excess retrievals. If D questions are decided at a time, they see a threshold that is D - 1
    decisions old. The bound then has 1 + D * step(1) instead of 1 + step(1), as long as D
    * step(1) is below MAX_DEBT.

    Ties are not broken at random. Equal scores all retrieve until the threshold has passed them,
    then none does until it is back, so a decision always agrees with ``threshold``. Targets of 0
    and 1 hold from the first question.

    Forced decisions (``observe`` of what ``threshold`` does not say) count, but the debt that they
    leave is limited by MAX_DEBT. 100 excess retrievals are compensated, 10,000 are not, because
    otherwise no other question would retrieve for a day.
    """

    def __init__(self, target: float, scores: Sequence[float] = (), start: float = 0.5) -> None:
        """Start a controller.

        :param target: the retrieval rate to hold, in [0, 1].
        :param scores: p(benefit) of known questions, [N]; without them a score is its own rank.
        :param start: initial threshold on p(benefit).
        """
        self.target = target
        self._scores = np.sort(np.array(scores, float))
        self._lock = threading.Lock()
        self._decided = self._retrieved = 0
        # (N + 1) / N, the rank above all scores, would be a debt before the first question
        self._rank = min(self._rank_of(start), 1.0 + self._step() * (1.0 - target))

    @property
    def threshold(self) -> float:
        """The current threshold on p(benefit); greater than 1 if nothing may be retrieved."""
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
        index = int(np.ceil(rank * len(self._scores))) - 1
        return float(self._scores[index]) if index >= 0 else 0.0

    @property
    def state(self) -> RateState:
        """The current state."""
        with self._lock:
            return RateState(self._rank, self._decided, self._retrieved)

    def restore(self, state: RateState) -> None:
        """Continue from the state of a controller with the same target and scores."""
        with self._lock:
            self._rank = _clip(state.rank)
            self._decided, self._retrieved = state.decided, state.retrieved

    def observe(self, *, retrieved: bool) -> None:
        """Record a decision."""
        with self._lock:
            step = self._step()
            self._decided += 1
            self._retrieved += retrieved
            self._rank = _clip(self._rank + step * (float(retrieved) - self.target))

    def _step(self) -> float:
        """Return the step size for the next decision."""
        return max(STEP, FIRST_STEP / math.sqrt(len(self._scores) + self._decided + 1))

    def _rank_of(self, score: float) -> float:
        """Return the rank of a score among the known scores."""
        if not len(self._scores):
            return score
        return float(np.searchsorted(self._scores, score, side="left") + 1) / len(self._scores)


def _clip(rank: float) -> float:
    return min(max(rank, -MAX_DEBT), 1.0 + MAX_DEBT)
