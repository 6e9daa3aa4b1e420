"""Trains a student: one low-rank update whose vectors match those of the teacher.

T texts, N texts of a batch, D dimensions
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F

from expertrag_index.types import Progress
from expertrag_retriever.experts.surgery import expert_layers
from expertrag_retriever.experts.trunk import Trunk
from expertrag_retriever.training.checkpoint import TrainingCheckpoint, Weights, learning_rate_share

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


@dataclass(frozen=True, slots=True)
class Taught:
    """The best weights, all evaluations, and the training time, including that before a kill."""

    weights: Weights
    points: tuple[StudentPoint, ...]
    seconds: float

    @property
    def best(self) -> float:
        """Best mean cosine to the teacher on held-out texts."""
        return max(point.cosine for point in self.points)


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
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=recipe.learning_rate, weight_decay=0.0
        )
        self._checkpoint = TrainingCheckpoint(folder, self._parameters, self._optimizer)

    def train(self, lessons: Lessons) -> Taught:
        """Train to the end or to the early stop; resumes a killed run."""
        recipe = self._recipe
        self._trunk.learn(
            lessons.texts,
            lambda done, total: self._progress("student: encoding texts", done, total),
        )
        training, held_out = _split(lessons, recipe.seed)
        plan = _plan(len(training.texts), recipe)
        every = max(1, math.ceil(len(plan) / recipe.evaluations))
        began = time.monotonic()
        points, best, before = self._resume()
        if not points:
            points, best = (
                [StudentPoint(0, None, self._cosine(held_out))],
                self._checkpoint.weights(),
            )
        losses: list[float] = []
        for step in range(points[-1].step, len(plan)):
            if _stale(points) >= recipe.patience:
                break
            self._progress(STUDENT, step, len(plan))
            losses.append(self._step(training.part(plan[step]), step / len(plan)))
            if (step + 1) % every == 0 or step + 1 == len(plan):
                loss = sum(losses) / len(losses)
                points.append(StudentPoint(step + 1, loss, self._cosine(held_out)))
                losses.clear()
                if _stale(points) == 0:
                    best = self._checkpoint.weights()
                seconds = before + time.monotonic() - began
                about = {"points": [asdict(point) for point in points], "seconds": seconds}
                self._checkpoint.save(step + 1, best, about)
                reached = f"loss {loss:.4f}, cosine to the teacher {points[-1].cosine:.4f}"
                self._progress(f"{STUDENT}: {reached}", step + 1, len(plan))
        return Taught(best, tuple(points), before + time.monotonic() - began)

    def _step(self, batch: Lessons, progress: float) -> float:
        recipe = self._recipe
        for group in self._optimizer.param_groups:
            group["lr"] = recipe.learning_rate * learning_rate_share(progress, recipe.warm_up)
        vectors = self._trunk.vectors(batch.texts, _ONLY)  # [N, D]
        teacher = batch.vectors.to(vectors.device)
        loss = (1 - (vectors * teacher).sum(dim=1)).mean()
        if recipe.similarity:
            loss = loss + recipe.similarity * _divergence(vectors, teacher, recipe.temperature)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return float(loss.detach())

    def _cosine(self, lessons: Lessons) -> float:
        """Mean cosine of the student's vectors to the teacher's."""
        with torch.inference_mode():
            vectors = self._trunk.vectors(lessons.texts, _ONLY).cpu()  # [T, D]
        return float((vectors * lessons.vectors).sum(dim=1).mean())

    def _resume(self) -> tuple[list[StudentPoint], Weights, float]:
        kept = self._checkpoint.load()
        if kept is None:
            return [], {}, 0.0
        best, about = kept
        return [StudentPoint(**point) for point in about["points"]], best, float(about["seconds"])


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


def _stale(points: Sequence[StudentPoint]) -> int:
    """Return the number of evaluations since the best one."""
    values = [point.cosine for point in points]
    return len(values) - 1 - values.index(max(values))
