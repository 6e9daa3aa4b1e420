"""Hyperparameters for training an expert."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag_retriever.experts.settings import ExpertForm


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters of a training.

    ``epochs`` over at most ``most_pairs`` pairs of a domain; more epochs if these are fewer than
    ``fewest_steps`` steps. ``batch``: pairs per step, of one domain; they are each other's
    negatives, in addition to ``negatives`` mined ones. ``max_tokens``: a text is truncated to this
    length. ``temperature`` divides the cosines. ``anchor``: weight of the divergence from the base
    model. ``evaluations``: how often the dev slice is evaluated during training; ``patience``
    evaluations without gain stop it. A point that loses more than ``most_harm`` nDCG@10 on any dev
    set does not count.
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
"""Takes minutes on two cores: shows that everything works and that the dev metric rises."""

FULL = Recipe(fewest_steps=60)

PROFILES = {"small": SMALL, "full": FULL}
