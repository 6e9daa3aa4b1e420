"""Train light experts: they alone, by distillation from the mixture with all of its experts.

The loss is the Kullback-Leibler divergence of the next-token distributions of both, mean over the
tokens of prompts and answers. Unlike the error of each layer's output, it weighs what a layer gets
wrong by what that does to the answer. Later layers learn to make up for earlier ones. He et al.
2025 train all weights of the model on right answers instead; here, all others stay as they are.

Legend: B sequences, T tokens, V vocabulary, E experts, H hidden
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from expertrag.api.errors import InvalidArgument
from expertrag.llm.engine.families import true_experts
from expertrag_index.types import Progress
from expertrag_kernels.light import VECTORS, make_light
from expertrag_kernels.transformers import plain_experts
from expertrag_lab.embedder.loop import Schedule, TrainingLoop, TrainingResult
from expertrag_lab.surgery.mixture import Mixture

Tokens = Sequence[int]


@dataclass(frozen=True, slots=True)
class LightRecipe:
    """How light experts are trained.

    :param neurons: of each light expert, next to its three vectors.
    :param batch: sequences of a step.
    :param held: share of the sequences that are held out, at most ``most_held`` of them; they
        choose the best of the evaluations.
    """

    neurons: int = 4
    steps: int = 300
    learning_rate: float = 0.03
    batch: int = 4
    held: float = 0.1
    most_held: int = 32
    evaluations: int = 6
    seed: int = 0

    @property
    def schedule(self) -> Schedule:
        """Learning rate and evaluations; vectors do not decay to zero, which is no better prior."""
        return Schedule(self.learning_rate, 0.05, self.evaluations, weight_decay=0.0)


@dataclass(frozen=True, slots=True)
class LightPoint:
    """An evaluation: mean training loss since the last one, and the held-out divergence, nats."""

    step: int
    loss: float | None
    held: float

    def __str__(self) -> str:
        loss = "" if self.loss is None else f"loss {self.loss:.4f}, "
        return f"{loss}held-out {self.held:.4f} nats from the whole mixture"


class LightTrainer:
    """Trains the light experts of a mixture, which has none yet and stays as it is."""

    def __init__(self, mixture: Mixture, light: int, recipe: LightRecipe) -> None:
        """Take a mixture in float32.

        :param light: how many of a token's experts are light.
        :raises InvalidArgument: an expert has fewer neurons than the recipe.
        """
        self._model = mixture.model
        self._light = light
        self._recipe = recipe
        self._experts = {layer.number: layer.experts for layer in mixture.layers}
        nulls = mixture.null_experts
        self._vectors = {
            f"layers.{number}": nn.Parameter(first_vectors(experts, recipe.neurons, nulls))
            for number, experts in self._experts.items()
        }

    def train(
        self, sequences: Sequence[Tokens], folder: Path, progress: Progress
    ) -> TrainingResult[LightPoint]:
        """Train to the end; a killed training continues from its last evaluation in ``folder``.

        The best weights are vectors (E, 3 + 3 N, H) by layer. At the first evaluation they add
        nothing: the other experts are dropped.

        :param sequences: of tokens, at least two: some are held out.
        """
        recipe = self._recipe
        order = random.Random(recipe.seed).sample(sequences, len(sequences))
        count = max(1, min(recipe.most_held, int(recipe.held * len(order))))
        held, seen = order[:count], order[count:]
        plan = _plan(len(seen), recipe)
        loop = TrainingLoop[LightPoint](self._vectors, recipe.schedule, folder, progress)
        return loop.run(
            recipe.steps,
            lambda step: self._backward([seen[place] for place in plan[step]]),
            lambda step, loss: LightPoint(step, loss, self._dev_loss(held)),
            restore=LightPoint,
            best=lambda points: min(range(len(points)), key=lambda place: points[place].held),
            stage="light experts",
        )

    def _backward(self, batch: Sequence[Tokens]) -> float:
        total, count = self._divergence(batch)
        loss = total / count
        torch.autograd.backward(loss)
        return float(loss.detach())

    @torch.no_grad()
    def _dev_loss(self, sequences: Sequence[Tokens]) -> float:
        size = self._recipe.batch
        order = sorted(sequences, key=len)  # little padding
        losses = [
            self._divergence(order[start : start + size]) for start in range(0, len(order), size)
        ]
        return sum(float(total) for total, _ in losses) / sum(count for _, count in losses)

    def _divergence(self, batch: Sequence[Tokens]) -> tuple[torch.Tensor, int]:
        """Return the divergence summed over the tokens of sequences, and their number."""
        rows = [torch.tensor(list(tokens)) for tokens in batch]
        ids = pad_sequence(rows, batch_first=True)  # [B, T]; attention looks back only
        lengths = torch.tensor([len(row) for row in rows])
        real = (torch.arange(ids.shape[1]) < lengths[:, None]).flatten()  # [B T]
        with torch.no_grad():
            whole = self._log_shares(ids, real)  # [T, V]
        with self._lit():
            own = self._log_shares(ids, real)
        total = functional.kl_div(own, whole, log_target=True, reduction="sum")
        return total, len(own)

    def _log_shares(self, ids: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model(input_ids=ids, use_cache=False).logits
        return logits.flatten(0, 1)[real].float().log_softmax(-1)

    @contextmanager
    def _lit(self) -> Iterator[None]:
        """Run the mixture with its light experts."""
        for number, experts in self._experts.items():
            own = partial(self._vectors.__getitem__, f"layers.{number}")
            make_light(experts, own, self._light)
        try:
            yield
        finally:
            for experts in self._experts.values():
                del experts.forward


def first_vectors(experts: Any, neurons: int, nulls: int = 0) -> torch.Tensor:
    """Return vectors (E, 3 + 3 N, H) that add nothing, with the largest neurons of each expert.

    A neuron is as large as the product of the norms of its weights. Gate and up are the expert's
    own, down is zero, so that training begins where the experts are dropped.

    :param experts: module of a layer's experts.
    :param nulls: null experts among them.
    :raises InvalidArgument: an expert has fewer neurons.
    """
    plain = true_experts(plain_experts(experts), nulls)
    gate, up = plain.gate_up.detach().float().chunk(2, dim=1)  # [E, I, H]
    if neurons > gate.shape[1]:
        raise InvalidArgument(
            f"a light expert cannot have {neurons} neurons: experts have {gate.shape[1]}"
        )
    size = gate.norm(dim=2) * up.norm(dim=2) * plain.down.detach().float().norm(dim=1)  # [E, I]
    best = size.topk(neurons, dim=1).indices
    best = best[:, :, None].expand(-1, -1, gate.shape[2])
    into = torch.cat([part.gather(1, best) for part in (gate, up)], dim=1)  # [E, 2 N, H]
    none = into.new_zeros(len(into), 1, into.shape[2])
    parts = none.expand(-1, VECTORS, -1), into, none.expand(-1, neurons, -1)
    return torch.cat(parts, dim=1)


def _plan(count: int, recipe: LightRecipe) -> list[list[int]]:
    """Plan the sequences of each step: all are used before one is used again."""
    rng, waiting, plan = random.Random(recipe.seed + 1), list[int](), list[list[int]]()
    for _ in range(recipe.steps):
        if len(waiting) < min(recipe.batch, count):
            waiting = rng.sample(range(count), count)
        plan.append([waiting.pop() for _ in range(min(recipe.batch, count))])
    return plan
