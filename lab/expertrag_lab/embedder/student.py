"""Trains a student: one low-rank update whose vectors match the teacher's.

T texts, N texts of a batch, D dimensions
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F

from expertrag_index.types import Progress
from expertrag_lab.embedder.loop import Schedule, TrainingLoop, TrainingResult
from expertrag_lab.trunk import Trunk
from expertrag_retriever.experts.surgery import expert_layers

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from expertrag_retriever.experts.module import ExpertTransformer

STUDENT = "student"
"""The name of the one expert."""

_ONLY = 0  # its index
_HELD_OUT_SHARE = 0.1
_MOST_HELD_OUT = 400


@dataclass(frozen=True, slots=True)
class StudentRecipe:
    """Hyperparameters of a distillation.

    The texts are the queries and documents of at most ``most_pairs`` pairs per domain, truncated to
    ``max_tokens``. ``batch``: texts per step, of all domains; ``epochs`` over all texts. ``rank``
    of the update; it is merged at the end, so a high rank costs only training time. ``similarity``:
    weight, relative to the cosine to the teacher, of the divergence between the two models'
    similarities within a batch, whose cosines ``temperature`` divides. ``evaluations``: how often
    held-out texts are evaluated during training; ``patience`` evaluations without gain stop it.
    """

    epochs: int = 4
    most_pairs: int | None = 3000
    batch: int = 64
    learning_rate: float = 1e-3
    warm_up: float = 0.1
    similarity: float = 1.0
    temperature: float = 0.05
    max_tokens: int = 128
    evaluations: int = 8
    patience: int = 3
    rank: int = 64
    seed: int = 0


SMALL = StudentRecipe(most_pairs=400, max_tokens=96, evaluations=4)
"""Takes minutes on two cores."""

PROFILES = {"small": SMALL, "full": StudentRecipe()}


@dataclass(frozen=True, slots=True)
class Lessons:
    """Texts with their prompts, as the model reads them, and the teacher's unit vectors (T, D)."""

    texts: tuple[str, ...]
    vectors: torch.Tensor

    def part(self, rows: Sequence[int]) -> Lessons:
        """Return the lessons of some rows."""
        return Lessons(tuple(self.texts[row] for row in rows), self.vectors[list(rows)])


@dataclass(frozen=True, slots=True)
class StudentPoint:
    """Figures of one evaluation.

    ``loss``: mean since the last evaluation, None before any step. ``cosine``: mean cosine to the
    teacher on held-out texts.
    """

    step: int
    loss: float | None
    cosine: float

    def __str__(self) -> str:
        loss = "" if self.loss is None else f"loss {self.loss:.4f}, "
        return f"{loss}cosine to the teacher {self.cosine:.4f}"


class StudentTrainer:
    """Trains the one expert of a model; saves its state in ``folder`` after every evaluation."""

    def __init__(
        self, model: SentenceTransformer, recipe: StudentRecipe, folder: Path, progress: Progress
    ) -> None:
        """Take a model to which :func:`with_experts` has added the one expert ``STUDENT``."""
        self._trunk = Trunk(model.eval())  # without dropout: the teacher's vectors have none
        self._recipe = recipe
        self._progress = progress
        self._parameters = {
            f"{name}.{part}": getattr(layer, part)
            for name, layer in expert_layers(cast("ExpertTransformer", model[0]).model)
            for part in ("first", "second")
        }
        schedule = Schedule(
            recipe.learning_rate, recipe.warm_up, recipe.evaluations, recipe.patience, 0.0
        )
        self._loop = TrainingLoop[StudentPoint](self._parameters, schedule, folder, progress)

    def train(self, lessons: Lessons) -> TrainingResult[StudentPoint]:
        """Train to the end or to the early stop; resumes a killed run."""
        recipe = self._recipe
        self._trunk.learn(
            lessons.texts,
            lambda done, total: self._progress("student: encoding texts", done, total),
        )
        training, held_out = _split(lessons, recipe.seed)
        plan = _plan(len(training.texts), recipe)
        return self._loop.run(
            len(plan),
            lambda step: self._backward(training.part(plan[step])),
            lambda step, loss: StudentPoint(step, loss, self._cosine(held_out)),
            restore=StudentPoint,
            best=_best,
            stage=STUDENT,
        )

    def _backward(self, batch: Lessons) -> float:
        recipe = self._recipe
        vectors = self._trunk.vectors(batch.texts, _ONLY)  # [N, D]
        teacher = batch.vectors.to(vectors.device)
        loss = (1 - (vectors * teacher).sum(dim=1)).mean()
        if recipe.similarity:
            loss = loss + recipe.similarity * _divergence(vectors, teacher, recipe.temperature)
        loss.backward()
        return float(loss.detach())

    def _cosine(self, lessons: Lessons) -> float:
        """Mean cosine of the student's vectors to the teacher's."""
        with torch.inference_mode():
            vectors = self._trunk.vectors(lessons.texts, _ONLY).cpu()  # [T, D]
        return float((vectors * lessons.vectors).sum(dim=1).mean())


def _split(lessons: Lessons, seed: int) -> tuple[Lessons, Lessons]:
    """Hold out some texts."""
    rows = list(range(len(lessons.texts)))
    random.Random(seed).shuffle(rows)
    count = max(1, min(_MOST_HELD_OUT, int(_HELD_OUT_SHARE * len(rows))))
    return lessons.part(rows[count:]), lessons.part(rows[:count])


def _plan(texts: int, recipe: StudentRecipe) -> list[list[int]]:
    """Return the rows of every batch of all epochs; the last batch of an epoch is smaller."""
    plan = []
    for epoch in range(recipe.epochs):
        rows = list(range(texts))
        random.Random(f"{recipe.seed} {epoch}").shuffle(rows)
        plan += [rows[start : start + recipe.batch] for start in range(0, texts, recipe.batch)]
    return plan


def _divergence(vectors: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """KL divergence of the teacher's from the student's similarity distribution in a batch."""
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    own, taught = (
        (some @ some.T / temperature).masked_fill(itself, -1e4).log_softmax(dim=1)
        for some in (vectors, teacher)
    )  # [N, N]
    return F.kl_div(own, taught, reduction="batchmean", log_target=True)


def _best(points: Sequence[StudentPoint]) -> int:
    values = [point.cosine for point in points]
    return values.index(max(values))
