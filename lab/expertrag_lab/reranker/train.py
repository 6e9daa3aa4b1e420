"""Trains a cross-encoder on groups: a listwise loss, and early stopping on the dev slice.

The search's standardised score is part of the sum that the softmax is over, as it is of the sum
that ranks. So the network learns what the search does not know, and ranks as the search before it
has learnt anything.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from expertrag_index.types import Progress
from expertrag_lab.embedder.loop import Schedule, TrainingLoop, TrainingResult
from expertrag_lab.reranker.groups import CandidateGroup, GroupedSource, group_ndcg
from expertrag_lab.reranker.save import save_bundle
from expertrag_retriever.encoder import number_format, token_batches
from expertrag_retriever.errors import TrainingError
from expertrag_retriever.experts.bundle import Base
from expertrag_retriever.publish import publish
from expertrag_retriever.rerank.bundle import RerankerForm, RerankerSettings, open_network
from expertrag_retriever.rerank.network import CrossEncoderNetwork
from expertrag_retriever.rerank.tokens import PairTokens


@dataclass(frozen=True, slots=True)
class RerankRecipe:
    """Hyperparameters of a training.

    ``most_groups``: queries to train on, of all data sets; ``negatives``: candidates of a step
    besides the one that answers; ``batch``: queries of a step; ``most_dev``: held-out queries of a
    data set. The rest as in ``Recipe`` and ``RerankerSettings``.
    """

    most_groups: int = 4000
    epochs: int = 2
    batch: int = 8
    negatives: int = 7
    most_dev: int = 60
    rank: int = 32
    max_tokens: int = 160
    search_weight: float = 1.5
    learning_rate: float = 5e-4
    warm_up: float = 0.1
    evaluations: int = 8
    patience: int = 4
    most_harm: float = 0.005
    seed: int = 0


RERANK_PROFILES = {
    "small": RerankRecipe(
        most_groups=160,
        epochs=2,
        negatives=3,
        most_dev=24,
        max_tokens=96,
        learning_rate=2e-3,
        evaluations=4,
    ),
    "full": RerankRecipe(),
}


@dataclass(frozen=True, slots=True)
class RerankPoint:
    """Figures of one evaluation; ``dev``: nDCG@10 of the candidates, by data set."""

    step: int
    loss: float | None
    dev: Mapping[str, float]

    def __str__(self) -> str:
        loss = "" if self.loss is None else f"loss {self.loss:.3f}, "
        return f"{loss}dev nDCG@10 {fmean(self.dev.values()):.3f}"


@dataclass(frozen=True, slots=True)
class RerankerReport:
    """What was trained: groups and dev queries by data set, and all evaluations."""

    base: Base
    recipe: RerankRecipe
    groups: Mapping[str, int]
    dev_queries: Mapping[str, int]
    points: tuple[RerankPoint, ...]
    best: int
    seconds: float
    command: str


def train_reranker(
    sources: Sequence[GroupedSource],
    base: Base,
    base_folder: Path,
    recipe: RerankRecipe,
    out: Path,
    work: Path,
    progress: Progress,
    command: str = "expertrag train reranker",
) -> RerankerReport:
    """Train and write the bundle ``out`` atomically; a killed training resumes from ``work``.

    :raises TrainingError: no group is left, or none of the evaluations beats the search.
    :raises RerankerError: the base cannot have updates.
    """
    groups = _draw([group for source in sources for group in source.train], recipe)
    dev = {source.name: source.dev[: recipe.most_dev] for source in sources if source.dev}
    if not groups or not dev:
        raise TrainingError(
            "in no data set does the search find documents that answer a query among others that "
            "do not: add data with judged queries"
        )
    torch.manual_seed(recipe.seed)
    network, tokens = open_network(base_folder, recipe.rank, recipe.max_tokens)
    network.bert.to(number_format("cpu"))
    for parameter in network.trainable_parameters().values():
        parameter.data = parameter.data.float()  # bfloat16 loses small updates
    trainer = RerankTrainer(network, tokens, groups, dev, recipe)
    learned = trainer.run(work / _digest(groups, base, recipe), progress)
    report = RerankerReport(
        base,
        recipe,
        {source.name: len(source.train) for source in sources},
        {name: len(some) for name, some in dev.items()},
        learned.points,
        learned.best,
        learned.seconds,
        command,
    )
    if not learned.best:
        raise TrainingError(
            f"no gain over the search on the dev slice ({learned.before} before, at best "
            f"{max(learned.points[1:], key=_mean)} after): add data, or train longer"
        )
    _publish(learned, report, out)
    return report


class RerankTrainer:
    """One training: the network, the groups and the order in which they are learnt from."""

    def __init__(
        self,
        network: CrossEncoderNetwork,
        tokens: PairTokens,
        groups: Sequence[CandidateGroup],
        dev: Mapping[str, Sequence[CandidateGroup]],
        recipe: RerankRecipe,
    ) -> None:
        self._network = network
        self._tokens = tokens
        self._groups = groups
        self._dev = dev
        self._recipe = recipe

    def run(self, folder: Path, progress: Progress) -> TrainingResult[RerankPoint]:
        """Train to the end or the early stop."""
        recipe = self._recipe
        schedule = Schedule(
            recipe.learning_rate, recipe.warm_up, recipe.evaluations, recipe.patience
        )
        loop: TrainingLoop[RerankPoint] = TrainingLoop(
            self._network.trainable_parameters(), schedule, folder, progress
        )
        steps = max(1, recipe.epochs * len(self._groups) // recipe.batch)
        return loop.run(
            steps,
            self._backward,
            self._evaluate,
            restore=RerankPoint,
            best=self._best,
            stage="reranker",
        )

    def _backward(self, step: int) -> float:
        """Compute the gradient of a step; return its mean loss."""
        loss = 0.0
        for group in self._batch(step):
            scores = self._scores(group) + self._weigh_search(group)
            one = -torch.log_softmax(scores, 0)[0] / self._recipe.batch
            one.backward()
            loss += one.item()
        return loss

    def _batch(self, step: int) -> list[CandidateGroup]:
        """Return the groups of a step: the same in every run."""
        count, batch = len(self._groups), self._recipe.batch
        rng = random.Random(f"{self._recipe.seed} {step}")
        epoch, start = divmod(step * batch, count)
        order = random.Random(f"{self._recipe.seed} epoch {epoch}").sample(range(count), count)
        rows = [order[(start + place) % count] for place in range(batch)]
        return [self._groups[row].sample(self._recipe.negatives, rng) for row in rows]

    def _evaluate(self, step: int, loss: float | None) -> RerankPoint:
        with torch.inference_mode():
            dev = {
                name: fmean(
                    group_ndcg(
                        group.relevant, (self._scores(group) + self._weigh_search(group)).numpy()
                    )
                    for group in groups
                )
                for name, groups in self._dev.items()
            }
        return RerankPoint(step, loss, dev)

    def _scores(self, group: CandidateGroup) -> torch.Tensor:
        """Score the candidates of a group, (N), in batches of similar length."""
        lengths = self._tokens.count(group.query, group.texts)
        parts, order = [], []
        for rows in token_batches([min(self._tokens.max_tokens, n) for n in lengths]):
            texts = [group.texts[row] for row in rows]
            parts.append(self._network(self._tokens.features(group.query, texts)))
            order += rows
        return torch.cat(parts)[torch.tensor(np.argsort(order))]

    def _weigh_search(self, group: CandidateGroup) -> torch.Tensor:
        return self._recipe.search_weight * torch.tensor(group.search)

    def _best(self, points: Sequence[RerankPoint]) -> int:
        """Index of the best evaluation of those that harm no data set."""
        first = points[0].dev
        kept = [
            place
            for place, point in enumerate(points)
            if all(point.dev[name] >= first[name] - self._recipe.most_harm for name in first)
        ]
        return max(kept, key=lambda place: (_mean(points[place]), -place))


def _draw(groups: Sequence[CandidateGroup], recipe: RerankRecipe) -> list[CandidateGroup]:
    rng = random.Random(recipe.seed)
    return rng.sample(groups, min(len(groups), recipe.most_groups))


def _mean(point: RerankPoint) -> float:
    return fmean(point.dev.values())


def _digest(groups: Sequence[CandidateGroup], base: Base, recipe: RerankRecipe) -> str:
    """Hash everything that a training depends on."""
    state = hashlib.sha256(json.dumps([asdict(recipe), asdict(base)]).encode())
    for group in groups:
        state.update(repr(group).encode())
    return state.hexdigest()[:16]


def _publish(learned: TrainingResult[RerankPoint], report: RerankerReport, out: Path) -> None:
    recipe = report.recipe
    settings = RerankerSettings(
        RerankerForm.CROSS_ENCODER, recipe.max_tokens, recipe.search_weight, rank=recipe.rank
    )
    with publish(out) as scratch:
        save_bundle(learned.weights, settings, report.base, scratch, {"training": asdict(report)})
        (scratch / "README.md").write_text(reranker_card(report), encoding="utf-8")


def reranker_card(report: RerankerReport) -> str:
    """Write the card of a bundle: data, gains and limits."""
    before, after = report.points[0].dev, report.points[report.best].dev
    rows = "\n".join(
        f"| {name} | {report.groups[name]:,} | {report.dev_queries[name]:,} "
        f"| {before[name]:.3f} -> {after[name]:.3f} |"
        for name in before
    )
    return f"""---
base_model: {report.base.name}
tags: [reranker, cross-encoder]
---
# Reranker on {report.base.name}

| data set | queries | dev queries | nDCG@10 of the candidates, search -> reranked |
|---|---|---|---|
{rows}

Trained by

    {report.command}

with a listwise loss over the candidates of hybrid search (rank {report.recipe.rank}, \
{report.recipe.max_tokens} tokens, learning rate {report.recipe.learning_rate:g}, \
seed {report.recipe.seed}), in {report.seconds / 60:.0f} minutes.

Limits: the dev slices are queries of the training sets that were kept from training; gains on other
documents are smaller, and may be losses: let `expertrag index build --reranker` estimate them.
"""
