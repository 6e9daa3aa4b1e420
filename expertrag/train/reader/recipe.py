"""How a reader is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Recipe:
    """The figures of a training.

    Data: at most ``most_examples`` questions of a set, up to ``questions`` of them on a sheet of up
    to ``passages`` passages of ``words`` words; a share ``unanswered`` is to be abstained from,
    ``tempted`` where the set has questions that are marked as such.
    Each is asked ``epochs`` times, of sets of fewer than ``views`` questions more often, up to
    ``most_epochs``.
    ``dev_questions`` of a set, of those kept from training, are answered before and after it, if
    they are to be ``answered``; the loss of the first ``watched`` is followed.
    Steps: rows of ``row_tokens``, ``rows`` a step; a share ``general`` of the rows trains the
    shared updates alone. ``evaluations`` on the dev questions over the training.
    ``beside``: what is trained is small experts in the upper half of the layers, with ``rank`` and
    ``domain_rank`` for their widths, instead of low-rank updates in all layers. What they add is
    served at ``strength``, between the base and what was learned (WiSE-FT, Wortsman et al. 2022).
    """

    most_examples: int | None = None
    passages: int = 5
    words: int = 160
    questions: int = 12
    unanswered: float = 0.2
    tempted: float = 0.3
    epochs: int = 1
    views: int = 500
    most_epochs: int = 4
    dev_questions: int = 20
    watched: int = 8
    answered: bool = True
    row_tokens: int = 1024
    rows: int = 2
    general: float = 0.25
    learning_rate: float = 1.5e-3
    warm_up: float = 0.05
    evaluations: int = 8
    rank: int = 8
    domain_rank: int = 2
    beside: bool = False
    strength: float = 1.0
    seed: int = 0

    def epochs_of(self, questions: int) -> int:
        """How often each of a set's questions is asked."""
        return max(self.epochs, min(self.most_epochs, self.views // questions))


SMALL = Recipe(
    most_examples=40,
    passages=2,
    words=60,
    dev_questions=4,
    watched=4,
    most_epochs=1,
    evaluations=2,
)
"""Minutes on two cores: shows that all works, and that the dev loss falls."""

FULL = Recipe()
"""Hours: every question once, those of small sets more often."""

PROFILES = {"small": SMALL, "full": FULL}


def beside(recipe: Recipe) -> Recipe:
    """Return the recipe for a base that stays as it is, with small experts beside it.

    Such a base is large: it reads well already, so that few tokens teach it the form, and its dev
    questions are answered by the engine later (``make eval-answers``), not by the training.
    At full strength it forgets some of its reading: of 24 dev questions of squad2 and 24 of popqa
    15 and 18 are right, at half of it 19 and 22, and it tells unanswerable ones nearly as well
    (AUROC .91 and .89).
    """
    return replace(
        recipe,
        beside=True,
        strength=0.5,
        answered=False,
        watched=2,
        evaluations=3,
        most_epochs=1,
        rows=1,
        learning_rate=1e-3,
        rank=40,
        domain_rank=8,
    )
