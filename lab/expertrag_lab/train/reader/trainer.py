"""Trains the adapters of a reader: packed sequences, loss on reply tokens only, dev evaluation.

peft supports neither adapters that differ from row to row, nor rows without padding on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from expertrag_index.types import Progress
from expertrag_lab.adapters import Adapters
from expertrag_lab.embedder.loop import Schedule, TrainingLoop, TrainingResult
from expertrag_lab.train.reader.network import ReaderNetwork
from expertrag_lab.train.reader.recipe import ReaderRecipe
from expertrag_lab.train.reader.rows import PackedRow


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

    def __str__(self) -> str:
        loss = "" if self.loss is None else f"loss {self.loss:.3f}, "
        return f"{loss}dev loss {self.mean:.3f}, dev exact {self.exact:.2f}"


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
        schedule = Schedule(recipe.learning_rate, recipe.warm_up, recipe.evaluations)
        self._loop = TrainingLoop[ReaderPoint](adapters.parameters, schedule, folder, progress)

    def train(
        self, plan: Sequence[Sequence[PackedRow]], dev: Sequence[PackedRow]
    ) -> TrainingResult[ReaderPoint]:
        """Train to the end; resume from the last checkpoint if there is one."""
        return self._loop.run(
            len(plan),
            lambda step: self._backward(plan[step]),
            lambda step, loss: self._evaluate(step, loss, dev),
            restore=ReaderPoint,
            best=lambda points: min(range(len(points)), key=lambda place: points[place].mean),
            stage="reader",
        )

    def _backward(self, rows: Sequence[PackedRow]) -> float:
        replies = sum(len(row.targets) for row in rows)
        total = 0.0
        for row in rows:  # gradient accumulation: one row in memory at a time
            loss = self._network.loss(row).total / replies
            loss.backward()
            total += float(loss.detach())
        return total

    @torch.no_grad()
    def _evaluate(self, step: int, loss: float | None, dev: Sequence[PackedRow]) -> ReaderPoint:
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        exact: list[bool] = []
        for row in dev:
            row_loss = self._network.loss(row)
            totals[row.domain] = totals.get(row.domain, 0.0) + float(row_loss.total)
            counts[row.domain] = counts.get(row.domain, 0) + len(row.targets)
            exact += row_loss.exact
        losses = {domain: total / counts[domain] for domain, total in totals.items()}
        return ReaderPoint(step, loss, losses, sum(exact) / len(exact))
