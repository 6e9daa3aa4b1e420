"""Trains one expert: contrastive loss, early stopping on the dev slice, resumable after a kill.

The layers below the experts are frozen: they run once for each text, without gradients
(:mod:`expertrag_lab.trunk`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from expertrag_index.types import Progress
from expertrag_lab.embedder.batches import batches
from expertrag_lab.embedder.checkpoint import Weights
from expertrag_lab.embedder.dev import evaluate
from expertrag_lab.embedder.loop import Schedule, TrainingLoop, TrainingResult
from expertrag_lab.embedder.loss import backward, batch_of
from expertrag_lab.embedder.recipe import Recipe
from expertrag_lab.embedder.types import DevSet, Example
from expertrag_lab.trunk import Trunk
from expertrag_retriever.experts.surgery import expert_layers

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

    def __str__(self) -> str:
        loss = "" if self.loss is None else f"loss {self.loss:.3f}, "
        return f"{loss}dev nDCG@10 {self.mean:.3f}"


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
        schedule = Schedule(
            recipe.learning_rate, recipe.warm_up, recipe.evaluations, recipe.patience
        )
        self._loop = TrainingLoop[Point](self._parameters, schedule, folder, progress)

    def train(
        self, examples: Sequence[Example], dev: Sequence[DevSet], stage: str
    ) -> TrainingResult[Point]:
        """Train to the end or to the early stop; resumes a killed run."""
        plan = _plan(examples, self._recipe)
        self._read(examples, dev, stage)
        return self._loop.run(
            len(plan),
            lambda step: self._backward(plan[step]),
            lambda step, loss: Point(step, loss, evaluate(dev, self._encode)),
            restore=Point,
            best=lambda points: best_point(points, self._recipe.most_harm),
            stage=stage,
        )

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

    def _backward(self, examples: Sequence[Example]) -> float:
        batch = batch_of(examples)
        return backward(
            batch,
            lambda texts: self._trunk.vectors(texts, _EXPERT),
            torch.stack([self._base[text] for text in batch.texts]),
            temperature=self._recipe.temperature,
            anchor=self._recipe.anchor,
            part=_PART,
        )


def _plan(examples: Sequence[Example], recipe: Recipe) -> list[list[Example]]:
    """Return the batches of all steps."""
    plan: list[list[Example]] = []
    epoch = 0
    while epoch < recipe.epochs or 0 < len(plan) < recipe.fewest_steps:
        plan += batches(examples, recipe.batch, epoch, recipe.seed)
        epoch += 1
    return plan


def best_point(points: Sequence[Point], most_harm: float) -> int:
    """Index of the best point that harms no dev set; the base model's if none gains."""
    base = points[0].dev
    harmless = [
        place
        for place, point in enumerate(points)
        if all(value >= base[name] - most_harm for name, value in point.dev.items())
    ]
    return max(harmless, key=lambda place: (points[place].mean, -place))
