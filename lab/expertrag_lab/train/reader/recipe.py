"""Settings of a reader's training."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ReaderRecipe:
    """Settings of a training.

    Data: at most ``most_examples`` questions per data set, up to ``questions`` of them about the
    same (up to ``passages``) passages of ``words`` words. The target is abstention for a share
    ``unanswered`` of the examples, or ``tempted`` if the data set marks unanswerable questions.
    Each question is asked ``epochs`` times; in data sets of fewer than ``views`` questions more
    often, up to ``most_epochs``. Dev: ``dev_questions`` held-out questions per data set are
    answered before and after training, if ``answered``. The loss of the first ``watched`` is
    tracked, with ``evaluations`` evaluations over the training. Steps: ``rows`` packed sequences of
    ``row_tokens`` tokens per step; a share ``shared`` of them trains the shared adapter alone.
    ``parallel``: train parallel adapters in the upper half of the layers, of widths ``rank`` and
    ``domain_rank``, instead of LoRA adapters in all layers. They are scaled by ``strength``, which
    interpolates between the base and the trained model (WiSE-FT, Wortsman et al. 2022).
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
    shared: float = 0.25
    learning_rate: float = 1.5e-3
    warm_up: float = 0.05
    evaluations: int = 8
    rank: int = 8
    domain_rank: int = 2
    parallel: bool = False
    strength: float = 1.0
    seed: int = 0

    def epochs_of(self, questions: int) -> int:
        """Return how many times each question of a data set is asked."""
        return max(self.epochs, min(self.most_epochs, self.views // questions))


SMALL = ReaderRecipe(
    most_examples=40,
    passages=2,
    words=60,
    dev_questions=4,
    watched=4,
    most_epochs=1,
    evaluations=2,
)
"""A smoke test: minutes on two cores; the dev loss falls."""

FULL = ReaderRecipe()
"""Hours: every question once, questions of small data sets more often."""

PROFILES = {"small": SMALL, "full": FULL}


def parallel(recipe: ReaderRecipe) -> ReaderRecipe:
    """Return the recipe for a frozen base with parallel adapters.

    Such a base is large and already reads well, so few tokens suffice to teach it the reply format.
    The engine answers its dev questions later (``make lab-eval-answers``), not the training. At
    full strength the model loses some of its reading ability: of 24 dev questions each of squad2
    and popqa, 15 and 18 are right. At half strength 19 and 22, and unanswerable questions are
    detected nearly as well (AUROC .91 and .89).
    """
    return replace(
        recipe,
        parallel=True,
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
