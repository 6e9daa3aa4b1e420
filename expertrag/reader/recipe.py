"""How a reader is trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """The figures of a training.

    Data: at most ``most_examples`` of a set, each with up to ``passages`` passages of ``words``
    words; a share ``unanswered`` is to be abstained from. ``dev_questions`` of a set, of those kept
    from training, are answered before and after it; the loss of the first ``watched`` is followed.
    Steps: ``epochs`` over the examples, packed into rows of ``row_tokens``, ``rows`` a step; a
    share ``general`` of the rows trains the shared updates alone. ``evaluations`` on the dev
    questions over the training.
    """

    most_examples: int | None = None
    passages: int = 5
    words: int = 120
    unanswered: float = 0.12
    dev_questions: int = 40
    watched: int = 16
    epochs: int = 2
    row_tokens: int = 1024
    rows: int = 2
    general: float = 0.25
    learning_rate: float = 1.5e-3
    warm_up: float = 0.05
    evaluations: int = 8
    rank: int = 8
    domain_rank: int = 2
    seed: int = 0


SMALL = Recipe(
    most_examples=40,
    passages=2,
    words=60,
    dev_questions=4,
    watched=4,
    epochs=1,
    evaluations=2,
)
"""Minutes on two cores: shows that all works, and that the dev loss falls."""

FULL = Recipe()

PROFILES = {"small": SMALL, "full": FULL}
