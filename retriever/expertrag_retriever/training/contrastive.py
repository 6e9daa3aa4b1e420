"""Trains one expert: contrastive loss, early stopping on the dev slice, resumable after a kill.

The layers below the experts are frozen: they run once for each text, without gradients
(:mod:`expertrag_retriever.experts.trunk`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from expertrag_index.types import Progress
from expertrag_retriever.experts.surgery import expert_layers
from expertrag_retriever.experts.trunk import Trunk
from expertrag_retriever.training.batches import batches
from expertrag_retriever.training.checkpoint import TrainingCheckpoint, Weights, learning_rate_share
from expertrag_retriever.training.dev import evaluate
from expertrag_retriever.training.loss import backward, batch_of
from expertrag_retriever.training.recipe import Recipe
from expertrag_retriever.training.types import DevSet, Example

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from expertrag_index.types import FloatArray
    from expertrag_retriever.experts.module import ExpertTransformer

_EXPERT, _BASE = 0, 1  # in a model with one expert: its index, and the index of none
_PART = 256  # texts whose activations are in memory at once


@dataclass(frozen=True, slots=True)
class Point:
    """Figures of one evaluation.

    ``loss``: mean since the last evaluation, None before any step. ``dev``: nDCG@10 of each dev
    set.
    """

    step: int
    loss: float | None
    dev: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Mean over the dev sets."""
        return float(np.mean(list(self.dev.values())))


@dataclass(frozen=True, slots=True)
class TrainedExpert:
    """Result of a training: the best weights, and all evaluations, the base model first.

    ``best``: the index of these weights among the points.
    """

    weights: Weights
    points: tuple[Point, ...]
    best: int

    @property
    def before(self) -> Point:
        """Figures of the base model."""
        return self.points[0]

    @property
    def after(self) -> Point:
        """Figures of the best weights."""
        return self.points[self.best]

    @property
    def helps(self) -> bool:
        """Whether the expert beats the base model; if not, it should not be used."""
        return self.best > 0


class ExpertTrainer:
    """Trains the one expert of a model; saves its state in ``folder`` after every evaluation."""

    def __init__(
        self, model: SentenceTransformer, recipe: Recipe, folder: Path, progress: Progress
    ) -> None:
        """Take a model to which :func:`with_experts` has added one expert."""
        self._trunk = Trunk(model)
        self._recipe = recipe
        self._progress = progress
        self._base: dict[str, torch.Tensor] = {}  # (D,) of each text
        self._parameters = {
            f"{name}.{part}": getattr(layer, part)
            for name, layer in expert_layers(cast("ExpertTransformer", model[0]).model)
            for part in ("first", "second")
        }
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=recipe.learning_rate, weight_decay=0.01
        )
        self._checkpoint = TrainingCheckpoint(folder, self._parameters, self._optimizer)

    def train(
        self, examples: Sequence[Example], dev: Sequence[DevSet], stage: str
    ) -> TrainedExpert:
        """Train to the end or to the early stop; resumes a killed run."""
        recipe = self._recipe
        plan = _plan(examples, recipe)
        every = max(1, math.ceil(len(plan) / recipe.evaluations))
        self._read(examples, dev, stage)
        points, best = self._resume()
        if not points:
            points, best = [Point(0, None, evaluate(dev, self._encode))], self._checkpoint.weights()
            self._checkpoint.save(0, best, _about(points))
        losses: list[float] = []
        for step in range(points[-1].step, len(plan)):
            if len(points) - 1 - best_point(points, recipe.most_harm) >= recipe.patience:
                break
            self._progress(stage, step, len(plan))
            losses.append(self._step(plan[step], step, len(plan)))
            if (step + 1) % every == 0 or step + 1 == len(plan):
                loss = sum(losses) / len(losses)
                points.append(Point(step + 1, loss, evaluate(dev, self._encode)))
                losses.clear()
                if best_point(points, recipe.most_harm) == len(points) - 1:
                    best = self._checkpoint.weights()
                self._checkpoint.save(step + 1, best, _about(points))
                self._progress(
                    f"{stage}: loss {loss:.3f}, dev nDCG@10 {points[-1].mean:.3f}",
                    step + 1,
                    len(plan),
                )
        return TrainedExpert(best, tuple(points), best_point(points, recipe.most_harm))

    def use(self, weights: Weights) -> None:
        """Put weights into the model."""
        for name, parameter in self._parameters.items():
            parameter.data.copy_(weights[name])

    def _read(self, examples: Sequence[Example], dev: Sequence[DevSet], stage: str) -> None:
        """Run once what never changes: the layers below the experts and the base model."""
        texts = [
            text
            for example in examples
            for text in (example.query, example.positive, *(text for _, text in example.negatives))
        ]
        tried = [text for item in dev for text in (*item.queries, *item.documents)]
        self._trunk.learn(
            [*texts, *tried],
            lambda done, total: self._progress(f"{stage}: encoding texts", done, total),
        )
        texts = list(dict.fromkeys(texts))
        with torch.no_grad():
            self._base = dict(zip(texts, self._trunk.vectors(texts, _BASE), strict=True))

    def _encode(self, texts: Sequence[str]) -> FloatArray:
        with torch.inference_mode():
            vectors: FloatArray = self._trunk.vectors(texts, _EXPERT).cpu().numpy()
        return vectors

    def _step(self, examples: Sequence[Example], step: int, steps: int) -> float:
        recipe = self._recipe
        for group in self._optimizer.param_groups:
            group["lr"] = recipe.learning_rate * learning_rate_share(step / steps, recipe.warm_up)
        batch = batch_of(examples)
        loss = backward(
            batch,
            lambda texts: self._trunk.vectors(texts, _EXPERT),
            torch.stack([self._base[text] for text in batch.texts]),
            temperature=recipe.temperature,
            anchor=recipe.anchor,
            part=_PART,
        )
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss

    def _resume(self) -> tuple[list[Point], Weights]:
        kept = self._checkpoint.load()
        if kept is None:
            return [], {}
        best, about = kept
        return [Point(**point) for point in about["points"]], best


def _about(points: Sequence[Point]) -> dict[str, Any]:
    return {"points": [asdict(point) for point in points]}


def _plan(examples: Sequence[Example], recipe: Recipe) -> list[list[Example]]:
    """Return the batches of all steps."""
    plan: list[list[Example]] = []
    epoch = 0
    while epoch < recipe.epochs or 0 < len(plan) < recipe.fewest_steps:
        plan += batches(examples, recipe.batch, epoch, recipe.seed)
        epoch += 1
    return plan


def best_point(points: Sequence[Point], most_harm: float) -> int:
    """Index of the best point that harms no dev set; that of the base model if none gains."""
    base = points[0].dev
    harmless = [
        place
        for place, point in enumerate(points)
        if all(value >= base[name] - most_harm for name, value in point.dev.items())
    ]
    return max(harmless, key=lambda place: (points[place].mean, -place))
