"""How an expert is trained."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag_retriever.experts.settings import ExpertForm


@dataclass(frozen=True, slots=True)
class Recipe:
    """The figures of a training.

    ``epochs`` over at most ``most_pairs`` pairs of a domain, more where these are less than
    ``fewest_steps`` steps; ``batch`` pairs a step, of one domain, which are each other's negatives
    beside ``negatives`` mined ones. ``max_tokens`` of a text are read. ``temperature`` divides the
    cosines. ``anchor`` weighs what the base model thinks of the batch against the judgements.
    ``evaluations`` on the dev slice over the training, of which ``patience`` without gain end it;
    no point counts that loses more than ``most_harm`` of nDCG@10 on any one dev set.
    """

    epochs: int = 2
    fewest_steps: int = 1
    most_pairs: int | None = 3000
    batch: int = 64
    negatives: int = 1
    learning_rate: float = 1e-3
    warm_up: float = 0.1
    temperature: float = 0.05
    anchor: float = 1.0
    max_tokens: int = 128
    evaluations: int = 6
    patience: int = 3
    most_harm: float = 0.005
    form: ExpertForm = ExpertForm.LOW_RANK
    rank: int = 16
    seed: int = 0


SMALL = Recipe(most_pairs=400, max_tokens=96, evaluations=3, patience=2)
"""Minutes on two cores: shows that all works, and that the dev metric rises."""

FULL = Recipe(fewest_steps=60)

PROFILES = {"small": SMALL, "full": FULL}
