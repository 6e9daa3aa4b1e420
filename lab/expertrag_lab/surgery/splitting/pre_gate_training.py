"""Train a pre-gate to expect the experts that a mixture's routers choose.

T tokens, L layers, K experts of a token
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence

from expertrag_index.types import Progress
from expertrag_lab.embedder.loop import Schedule, TrainingLoop
from expertrag_lab.surgery.splitting.pre_gate import PreGate, PreGateShape
from expertrag_lab.surgery.verification.router_agreement import Choices

_NONE = -1  # expert of a position behind the end of a text


@dataclass(frozen=True, slots=True)
class PreGateRecipe:
    """How a pre-gate is trained.

    :param batch: texts of a step.
    :param rate: learning rate at the beginning; it falls to zero along a cosine.
    """

    width: int = 128
    epochs: int = 12
    batch: int = 8
    rate: float = 4e-3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class PreGateEpoch:
    """The end of an epoch: mean training loss in it, nats; None before the first one."""

    step: int
    loss: float | None

    def __str__(self) -> str:
        return "not trained yet" if self.loss is None else f"loss {self.loss:.3f}"


@dataclass(frozen=True, slots=True)
class RoutedTexts:
    """Texts, and the experts that a mixture's routers chose for their tokens.

    :param tokens: of each text.
    :param choices: for each text, the chosen experts (T, K) of each layer.
    :param experts: of a layer.
    """

    tokens: Sequence[Sequence[int]]
    choices: Choices
    experts: int

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, places: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return token ids (B, T) and experts (B, T, L, K) of some texts, up to the longest."""
        ids = [torch.tensor(self.tokens[place]) for place in places]
        chosen = [torch.stack(self.choices[place], dim=1).long() for place in places]
        return (
            pad_sequence(ids, batch_first=True),
            pad_sequence(chosen, batch_first=True, padding_value=_NONE),
        )


def train_pre_gate(
    embeddings: torch.Tensor,
    texts: RoutedTexts,
    recipe: PreGateRecipe,
    folder: Path,
    progress: Progress,
) -> PreGate:
    """Train a pre-gate by cross entropy: each chosen expert is to have a probability of 1 / K.

    A killed training continues from its last epoch in ``folder``, to the same weights.

    :param embeddings: (V, H) of the mixture's tokens, which stay as they are.
    """
    torch.manual_seed(recipe.seed)
    layers = len(texts.choices[0])
    shape = PreGateShape(embeddings.shape[1], recipe.width, layers, texts.experts)
    gate = PreGate(shape).train()
    plan = [
        places.tolist()
        for _ in range(recipe.epochs)
        for places in torch.randperm(len(texts)).split(recipe.batch)
    ]

    def backward(step: int) -> float:
        ids, chosen = texts.batch(plan[step])
        loss = _loss(gate(embeddings[ids])[0], chosen)
        torch.autograd.backward(loss)
        return float(loss.detach())

    schedule = Schedule(recipe.rate, warm_up=0.0, evaluations=recipe.epochs)
    parameters = dict(gate.named_parameters())
    trained = TrainingLoop[PreGateEpoch](parameters, schedule, folder, progress).run(
        len(plan),
        backward,
        PreGateEpoch,
        restore=PreGateEpoch,
        best=lambda epochs: len(epochs) - 1,
        stage="split: train pre-gate",
    )
    gate.load_state_dict(trained.weights)
    return gate.eval().requires_grad_(False)


def _loss(logits: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    there = chosen[..., 0, 0] != _NONE  # [B, T]
    log_probabilities = logits[there].log_softmax(-1).gather(-1, chosen[there])  # [tokens, L, K]
    return -log_probabilities.mean()


@torch.inference_mode()
def recall(gate: PreGate, embeddings: torch.Tensor, texts: RoutedTexts, count: int) -> float:
    """Return the share of the chosen experts that are among ``count`` expected ones of a layer."""
    hits = total = 0
    for place in range(len(texts)):
        ids, chosen = texts.batch([place])
        expected = gate(embeddings[ids])[0].topk(count, dim=-1).indices
        matches = _among(chosen, expected)
        hits, total = hits + int(matches.sum()), total + matches.numel()
    return hits / max(total, 1)


def recall_of_frequent(seen: RoutedTexts, texts: RoutedTexts, count: int) -> float:
    """Return the same for the ``count`` experts of each layer that most tokens use.

    :param seen: texts whose uses are counted.
    """
    used = torch.stack(
        [
            torch.bincount(torch.cat(list(layer)).flatten().long(), minlength=seen.experts)
            for layer in zip(*seen.choices, strict=True)
        ]
    )  # [L, E]
    expected = used.topk(count, dim=-1).indices
    hits = total = 0
    for place in range(len(texts)):
        _, chosen = texts.batch([place])
        matches = _among(chosen, expected.expand(*chosen.shape[:2], -1, -1))
        hits, total = hits + int(matches.sum()), total + matches.numel()
    return hits / max(total, 1)


def _among(chosen: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Return which chosen experts (…, K) are among the expected ones (…, N)."""
    return (chosen[..., :, None] == expected[..., None, :]).any(dim=-1)
