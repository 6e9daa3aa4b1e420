"""Training one expert: cached contrastive loss, early stop on the dev slice, resume after a kill.

The loss is the multiple-negatives ranking loss with a gradient cache (Gao et al. 2021), as
sentence-transformers has it: a batch of any size in the memory of a small one. Everything below
the experts is frozen, so that no gradient is computed for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import load_file, save_file

from expertrag_retriever.experts.surgery import expert_layers
from expertrag_retriever.training.batches import batches, columns
from expertrag_retriever.training.dev import evaluate
from expertrag_retriever.training.mining import Encode
from expertrag_retriever.training.recipe import Recipe
from expertrag_retriever.training.types import DevSet, Example, Progress

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from expertrag_retriever.experts.module import ExpertTransformer

Weights = dict[str, torch.Tensor]

_MINI_BATCH_TOKENS = 4096
_CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Point:
    """The state at one evaluation: ``loss`` is the mean since the last, None before any step."""

    step: int
    loss: float | None
    dev: float


@dataclass(frozen=True, slots=True)
class Learned:
    """What a training gave: the best weights, and the way there, the base model first.

    ``helps`` is whether the best is better than the base; otherwise nobody should use it.
    """

    weights: Weights
    points: tuple[Point, ...]

    @property
    def before(self) -> float:
        """Dev nDCG@10 of the base model."""
        return self.points[0].dev

    @property
    def after(self) -> float:
        """Dev nDCG@10 of the best weights."""
        return max(point.dev for point in self.points)

    @property
    def helps(self) -> bool:
        """Whether the expert beats the base on the dev slice."""
        return self.after > self.before


class ExpertTrainer:
    """Trains the one expert of a model; its state is in ``folder`` after every evaluation."""

    def __init__(
        self,
        model: SentenceTransformer,
        encode: Encode,
        recipe: Recipe,
        folder: Path,
        progress: Progress,
    ) -> None:
        """Take a model that :func:`with_experts` has given one expert.

        :param encode: encodes texts as the expert does at the time.
        """
        from sentence_transformers.sentence_transformer.losses import (
            CachedMultipleNegativesRankingLoss,
        )

        self._model = model
        self._encode = encode
        self._recipe = recipe
        self._folder = folder
        self._progress = progress
        self._loss: Any = CachedMultipleNegativesRankingLoss(
            model, scale=1 / recipe.temperature, mini_batch_num_tokens=_MINI_BATCH_TOKENS
        )
        self._parameters = {
            f"{name}.{part}": getattr(layer, part)
            for name, layer in expert_layers(cast("ExpertTransformer", model[0]).model)
            for part in ("first", "second")
        }
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=recipe.learning_rate, weight_decay=0.01
        )

    def train(self, examples: Sequence[Example], dev: Sequence[DevSet], stage: str) -> Learned:
        """Train to the end or to the early stop; goes on where a killed run was."""
        recipe = self._recipe
        plan = [
            batch
            for epoch in range(recipe.epochs)
            for batch in batches(examples, recipe.batch, epoch, recipe.seed)
        ]
        every = max(1, math.ceil(len(plan) / recipe.evaluations))
        points, best = self._resume()
        if not points:
            points, best = [Point(0, None, evaluate(dev, self._encode))], self._weights()
            self._save(points, best)
        losses: list[float] = []
        for step in range(points[-1].step, len(plan)):
            if _stale(points) >= recipe.patience:
                break
            self._progress(stage, step, len(plan))
            losses.append(self._step(plan[step], step, len(plan)))
            if (step + 1) % every == 0 or step + 1 == len(plan):
                loss = sum(losses) / len(losses)
                points.append(Point(step + 1, loss, evaluate(dev, self._encode)))
                losses.clear()
                if _stale(points) == 0:
                    best = self._weights()
                self._save(points, best)
                self._progress(
                    f"{stage}: loss {loss:.3f}, dev nDCG@10 {points[-1].dev:.3f}",
                    step + 1,
                    len(plan),
                )
        return Learned(best, tuple(points))

    def use(self, weights: Weights) -> None:
        """Put weights into the model."""
        for name, parameter in self._parameters.items():
            parameter.data.copy_(weights[name])

    def _step(self, batch: Sequence[Example], step: int, steps: int) -> float:
        self._model.train()
        torch.manual_seed(hash((self._recipe.seed, step)))  # a resumed run drops out the same
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate * _schedule(step / steps, self._recipe.warm_up)
        features = [self._features(texts) for texts in columns(batch)]
        loss = self._loss(features, None)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._model.eval()
        return float(loss.detach())

    def _features(self, texts: list[str]) -> dict[str, Any]:
        features: dict[str, Any] = self._model.preprocess(texts)
        features["expert_index"] = torch.zeros(len(texts), dtype=torch.int64)  # the only one
        return features

    def _weights(self) -> Weights:
        return {name: value.detach().clone() for name, value in self._parameters.items()}

    def _save(self, points: Sequence[Point], best: Weights) -> None:
        """Write the state beside the last one, then swap: a kill leaves one of the two."""
        from expertrag_index.durable import write_durably

        state = {f"now.{name}": value for name, value in self._weights().items()}
        state |= {f"best.{name}": value for name, value in best.items()}
        for name, parameter in self._parameters.items():
            moments = self._optimizer.state.get(parameter, {})
            state |= {f"{key}.{name}": value for key, value in moments.items()}
        self._folder.mkdir(parents=True, exist_ok=True)
        save_file(state, self._folder / f"{_CHECKPOINT}-{points[-1].step}.safetensors")
        body = {"recipe": asdict(self._recipe), "points": [asdict(point) for point in points]}
        write_durably(self._folder / f"{_CHECKPOINT}.json", json.dumps(body).encode())
        for old in self._folder.glob(f"{_CHECKPOINT}-*.safetensors"):
            if old.stem != f"{_CHECKPOINT}-{points[-1].step}":
                old.unlink()

    def _resume(self) -> tuple[list[Point], Weights]:
        """Load the state of a killed run with the same recipe; nothing if there is none."""
        path = self._folder / f"{_CHECKPOINT}.json"
        if not path.is_file():
            return [], {}
        body = json.loads(path.read_bytes())
        if body["recipe"] != json.loads(json.dumps(asdict(self._recipe))):
            return [], {}
        points = [Point(**point) for point in body["points"]]
        state = load_file(self._folder / f"{_CHECKPOINT}-{points[-1].step}.safetensors")
        for name, parameter in self._parameters.items():
            parameter.data.copy_(state[f"now.{name}"])
            moments = {
                key: state[f"{key}.{name}"]
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"{key}.{name}" in state
            }
            if moments:
                self._optimizer.state[parameter] = moments
        return points, {name: state[f"best.{name}"] for name in self._parameters}


def _stale(points: Sequence[Point]) -> int:
    """How many evaluations ago the best one was."""
    values = [point.dev for point in points]
    return len(values) - 1 - values.index(max(values))


def _schedule(progress: float, warm_up: float) -> float:
    """Share of the learning rate: a linear warm-up, then a cosine to 0."""
    if progress < warm_up:
        return (progress + 0.01) / (warm_up + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))
