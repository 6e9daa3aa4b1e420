"""The loop of every training by gradient: AdamW, warm-up, evaluations, the best weights, resume.

Plain torch: the loop is short, and transformers' Trainer supports neither a bitwise reproducible
resume nor steps over rows that differ in their adapter.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import nn

from expertrag_index.types import Progress
from expertrag_lab.embedder.checkpoint import TrainingCheckpoint, Weights

if TYPE_CHECKING:
    from dataclasses import Field

_CLIP = 1.0  # largest norm of a step's gradient


class Evaluation(Protocol):
    """A dataclass with the figures of one evaluation; its ``str`` is shown as progress."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def step(self) -> int:
        """Number of steps before the evaluation."""


P = TypeVar("P", bound=Evaluation)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Learning rate and evaluations.

    ``warm_up``: share of the steps with a rising learning rate; it decays to 0 by a cosine after
    that. ``evaluations``: how many during the training; ``patience`` of them without a new best
    stop it, None never.
    """

    learning_rate: float
    warm_up: float
    evaluations: int
    patience: int | None = None
    weight_decay: float = 0.01


@dataclass(frozen=True, slots=True)
class TrainingResult(Generic[P]):
    """The best weights, all evaluations (the first before any step), and which of them is best.

    ``seconds``: time in the loop, including that before a kill.
    """

    weights: Weights
    points: tuple[P, ...]
    best: int
    seconds: float

    @property
    def before(self) -> P:
        """The evaluation before training."""
        return self.points[0]

    @property
    def after(self) -> P:
        """The evaluation of the best weights."""
        return self.points[self.best]


class TrainingLoop(Generic[P]):
    """Trains parameters; saves its state in ``folder`` after every evaluation."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        schedule: Schedule,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._parameters = parameters
        self._schedule = schedule
        self._progress = progress
        self._optimizer = torch.optim.AdamW(
            parameters.values(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self._checkpoint = TrainingCheckpoint(folder, parameters, self._optimizer)

    def run(
        self,
        steps: int,
        backward: Callable[[int], float],
        evaluate: Callable[[int, float | None], P],
        *,
        restore: Callable[..., P],
        best: Callable[[Sequence[P]], int],
        stage: str,
    ) -> TrainingResult[P]:
        """Train to the end or to the early stop; resume a killed run from its last evaluation.

        :param backward: computes the gradient of a step, and returns its loss.
        :param evaluate: measures after a number of steps, given the mean loss since the last time.
        :param restore: makes an evaluation of its fields.
        :param best: index of the best of some evaluations.
        :param stage: name of the training in the progress, before the latest evaluation.
        """
        schedule = self._schedule
        every = max(1, math.ceil(steps / schedule.evaluations))
        began = time.monotonic()
        points, weights, before = self._resume(restore)
        if not points:
            self._progress(f"{stage}: evaluating before training", 0, steps)
            points, weights = [evaluate(0, None)], self._checkpoint.weights()
            self._save(points, weights, 0.0)
        losses: list[float] = []
        for step in range(points[-1].step, steps):
            waited = len(points) - 1 - best(points)
            if schedule.patience is not None and waited >= schedule.patience:
                break
            losses.append(self._step(backward, step, steps))
            done = step + 1
            if done % every == 0 or done == steps:
                points.append(evaluate(done, sum(losses) / len(losses)))
                losses.clear()
                if best(points) == len(points) - 1:
                    weights = self._checkpoint.weights()
                self._save(points, weights, before + time.monotonic() - began)
            self._progress(f"{stage}: {points[-1]}", done, steps)
        return TrainingResult(
            weights, tuple(points), best(points), before + time.monotonic() - began
        )

    def _step(self, backward: Callable[[int], float], step: int, steps: int) -> float:
        schedule = self._schedule
        share = learning_rate_share(step / steps, schedule.warm_up)
        for group in self._optimizer.param_groups:
            group["lr"] = schedule.learning_rate * share
        loss = backward(step)
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), _CLIP)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss

    def _save(self, points: Sequence[P], best: Weights, seconds: float) -> None:
        about = {"points": [asdict(point) for point in points], "seconds": seconds}
        self._checkpoint.save(points[-1].step, best, about)

    def _resume(self, restore: Callable[..., P]) -> tuple[list[P], Weights, float]:
        kept = self._checkpoint.load()
        if kept is None:
            return [], {}, 0.0
        best, about = kept
        seconds = float(about.get("seconds", 0.0))
        return [restore(**point) for point in about["points"]], best, seconds


def learning_rate_share(progress: float, warm_up: float) -> float:
    """Return the factor of the learning rate: linear warm-up, then cosine decay to 0."""
    if progress < warm_up:
        return (progress + 0.01) / (warm_up + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))
