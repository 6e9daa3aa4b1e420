"""Training loop of a reader: packed sequences, loss on reply tokens only, dev evaluation, resume.

Plain torch: the loop is short, and peft and transformers' Trainer support neither adapters that
differ from row to row, nor rows without padding on the CPU, nor a bitwise reproducible resume.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from expertrag.llm.adapters.trainable import Adapters
from expertrag.train.reader.network import ReaderNetwork
from expertrag.train.reader.recipe import ReaderRecipe
from expertrag.train.reader.rows import PackedRow
from expertrag_index.types import Progress
from expertrag_retriever.training.checkpoint import TrainingCheckpoint, Weights, learning_rate_share

_CLIP = 1.0


@dataclass(frozen=True, slots=True)
class ReaderPoint:
    """One evaluation. ``loss``: mean training loss since the last one, None before any step.

    ``dev``: mean loss per reply token of the dev questions, by domain; ``exact``: share of the dev
    questions whose reply greedy decoding reproduces exactly.
    """

    step: int
    loss: float | None
    dev: Mapping[str, float]
    exact: float

    @property
    def mean(self) -> float:
        """Mean dev loss over the domains."""
        return sum(self.dev.values()) / len(self.dev)


@dataclass(frozen=True, slots=True)
class TrainedAdapters:
    """Result of a training: the best weights, and all evaluations, the base model's first."""

    weights: Weights
    points: tuple[ReaderPoint, ...]

    @property
    def best(self) -> ReaderPoint:
        """The evaluation of the best weights."""
        return min(self.points, key=lambda point: point.mean)


class ReaderTrainer:
    """Trains the adapters of a network; the state is saved to ``folder`` after every evaluation."""

    def __init__(
        self,
        network: ReaderNetwork,
        adapters: Adapters,
        recipe: ReaderRecipe,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._network = network
        self._parameters = adapters.parameters
        self._recipe = recipe
        self._progress = progress
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=recipe.learning_rate, weight_decay=0.01
        )
        self._checkpoint = TrainingCheckpoint(folder, self._parameters, self._optimizer)

    def train(
        self, plan: Sequence[Sequence[PackedRow]], dev: Sequence[PackedRow]
    ) -> TrainedAdapters:
        """Train to the end; resume from the last checkpoint if there is one."""
        every = max(1, math.ceil(len(plan) / self._recipe.evaluations))
        points, best = self._resume()
        if not points:
            self._progress("reader: dev questions before training", 0, None)
            points, best = [self._evaluate(0, None, dev)], self._checkpoint.weights()
            self._save(points, best)
        losses: list[float] = []
        for step in range(points[-1].step, len(plan)):
            losses.append(self._step(plan[step], step, len(plan)))
            done = step + 1
            if done % every == 0 or done == len(plan):
                points.append(self._evaluate(done, sum(losses) / len(losses), dev))
                losses.clear()
                if points[-1] is TrainedAdapters(best, tuple(points)).best:
                    best = self._checkpoint.weights()
                self._save(points, best)
            self._progress(_stage(points[-1]), done, len(plan))
        return TrainedAdapters(best, tuple(points))

    def _step(self, rows: Sequence[PackedRow], step: int, steps: int) -> float:
        recipe = self._recipe
        for group in self._optimizer.param_groups:
            group["lr"] = recipe.learning_rate * learning_rate_share(step / steps, recipe.warm_up)
        replies = sum(len(row.targets) for row in rows)
        total = 0.0
        for row in rows:  # gradient accumulation: one row in memory at a time
            loss = self._network.loss(row).total / replies
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), _CLIP)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return total

    @torch.no_grad()
    def _evaluate(self, step: int, loss: float | None, dev: Sequence[PackedRow]) -> ReaderPoint:
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        exact: list[bool] = []
        for row in dev:
            found = self._network.loss(row)
            totals[row.domain] = totals.get(row.domain, 0.0) + float(found.total)
            counts[row.domain] = counts.get(row.domain, 0) + len(row.targets)
            exact += found.exact
        losses = {domain: total / counts[domain] for domain, total in totals.items()}
        return ReaderPoint(step, loss, losses, sum(exact) / len(exact))

    def _save(self, points: Sequence[ReaderPoint], best: Weights) -> None:
        about = {"points": [asdict(point) for point in points]}
        self._checkpoint.save(points[-1].step, best, about)

    def _resume(self) -> tuple[list[ReaderPoint], Weights]:
        kept = self._checkpoint.load()
        if kept is None:
            return [], {}
        best, about = kept
        return [ReaderPoint(**point) for point in about["points"]], best


def _stage(point: ReaderPoint) -> str:
    loss = "" if point.loss is None else f"loss {point.loss:.3f}, "
    return f"reader: {loss}dev loss {point.mean:.3f}, dev exact {point.exact:.2f}"
