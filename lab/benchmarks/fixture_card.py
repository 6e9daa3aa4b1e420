"""Losses and routing of the mixture of ``fixture_moe.py`` on held-out rows, and its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from fixture_network import Shape, run
from fixture_texts import ANSWER_WEIGHT, RowSets
from results_table import head

_BATCH = 6


@dataclass(frozen=True, slots=True)
class Held:
    """Figures of one kind of held-out rows.

    ``loss``: nats a token, and ``accuracy``: share of tokens that are held the likeliest; the same
    of the replies of prompts, None for texts. ``usage``: by layer, the share of the tokens' choices
    that each expert has, null ones included (L, E + N).
    """

    tokens: int
    loss: float
    accuracy: float
    answer_tokens: int
    answer_loss: float | None
    answer_accuracy: float | None
    usage: tuple[tuple[float, ...], ...]


@torch.no_grad()
def measured(model: Any, held: RowSets, top_k: int) -> dict[str, Held]:
    """Measure every kind of rows."""
    return {name: _measured(model, rows.tokens, rows.weights, top_k) for name, rows in held.items()}


def _measured(model: Any, tokens: torch.Tensor, weights: torch.Tensor, top_k: int) -> Held:
    losses, hits, chosen = [], [], []
    for rows in tokens.split(_BATCH):
        found = run(model, rows)
        losses.append(found.losses)
        hits.append(found.hits)
        chosen.append([logits.topk(top_k).indices for logits in found.routers])
    loss, hit, weight = torch.cat(losses), torch.cat(hits).float(), weights[:, 1:]
    shown, answer = weight > 0, weight == ANSWER_WEIGHT
    used = (weights > 0).flatten()
    usage = []
    for layer in zip(*chosen, strict=True):
        counts = torch.cat(layer)[used].flatten().bincount(minlength=model.config.num_experts)
        usage.append(tuple((counts / counts.sum()).tolist()))
    answers = int(answer.sum())
    return Held(
        int(shown.sum()),
        float(loss[shown].mean()),
        float(hit[shown].mean()),
        answers,
        float(loss[answer].mean()) if answers else None,
        float(hit[answer].mean()) if answers else None,
        tuple(usage),
    )


@dataclass(frozen=True, slots=True)
class RoutingUse:
    """How routers tell domains apart, by layer, from the texts of all domains in equal parts.

    ``information``: bits that the expert of a choice tells about the domain, of log2 of the number
    of domains. ``distance``: mean over pairs of domains of the share of choices that differ (total
    variation). ``most``: the share of the choices of the most used true expert. ``experts``: true
    experts a token.
    """

    information: tuple[float, ...]
    distance: tuple[float, ...]
    most: tuple[float, ...]
    experts: tuple[float, ...]


def routing_use(held: Mapping[str, Held], shape: Shape) -> RoutingUse:
    """Compare the usage of experts between the domains' texts."""
    texts = [item.usage for name, item in held.items() if name.endswith(" text")]
    usage = torch.tensor(texts).transpose(0, 1)  # [L, D, E + N]
    true = usage.mean(1)[:, : shape.experts]
    return RoutingUse(
        tuple(map(_information, usage)),
        tuple(map(_distance, usage)),
        tuple(true.amax(1).tolist()),
        tuple((shape.top_k * true.sum(1)).tolist()),
    )


def _information(usage: torch.Tensor) -> float:
    """Return the mutual information in bits of expert and domain, with usage (D, E)."""
    mean = usage.mean(0, keepdim=True)
    terms = torch.where(usage > 0, usage * (usage / mean).log2(), 0.0)
    return float(terms.sum() / len(usage))


def _distance(usage: torch.Tensor) -> float:
    first, second = torch.triu_indices(len(usage), len(usage), 1)
    return float((usage[first] - usage[second]).abs().sum(1).mean() / 2)


def body_of(held: Mapping[str, Held], shape: Shape) -> dict[str, Any]:
    """Return all figures as JSON."""
    return {
        "held_out": {name: asdict(item) for name, item in held.items()},
        "routing": asdict(routing_use(held, shape)),
    }


def card(body: Mapping[str, Any]) -> str:
    """Return README.md of the model's folder, from the figures beside it."""
    return "\n".join(_card(body)) + "\n"


def _card(body: Mapping[str, Any]) -> Iterator[str]:
    shape, routing = body["shape"], body["routing"]
    yield "---\nlibrary_name: transformers\n---\n# A small mixture for development\n"
    nulls = shape["null_experts"]
    beside = f" and {nulls} null experts, whose weights are zero" if nulls else ""
    yield (
        f"Qwen2-MoE with {body['parameters']:,} parameters: {shape['layers']} layers of "
        f"{shape['experts']} experts{beside}, of which a token gets {shape['top_k']}, and a shared "
        f"one. It was made to measure routing, not to answer: it was trained for {body['steps']} "
        f"steps on {body['tokens']:,} tokens of open corpora, a part of them prompts as a reader "
        "gets them.\n"
    )
    yield f"    {body['command']}\n"
    yield "## Held-out losses\n"
    yield "Of test splits; nats a token, and the share of tokens that are held the likeliest.\n"
    yield from head("rows | tokens | loss | accuracy | answer tokens | loss | accuracy")
    for name, item in body["held_out"].items():
        told = (item["answer_loss"], item["answer_accuracy"]) if item["answer_tokens"] else ()
        answers = [f"{item['answer_tokens']:,}", *(f"{value:.3f}" for value in told)]
        cells = (name, f"{item['tokens']:,}", f"{item['loss']:.3f}", f"{item['accuracy']:.3f}")
        yield f"| {' | '.join((*cells, *(answers if told else ('', '', ''))))} |"
    yield "\n## Usage of experts\n"
    yield (
        "`information`: bits that a chosen expert tells about the domain of the text; `distance`: "
        "share of the choices that differ between two domains; `most`: share of the choices of "
        "the most used expert; `experts`: experts a token that are not null.\n"
    )
    yield from head("layer | information | distance | most | experts")
    columns = [routing[name] for name in ("information", "distance", "most", "experts")]
    for layer, values in enumerate(zip(*columns, strict=True)):
        yield f"| {layer} | {' | '.join(f'{value:.3f}' for value in values)} |"
    yield ""
    yield from _favourites(body["held_out"])


def _favourites(held: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table of each domain's most used experts of the middle layer."""
    layer = len(next(iter(held.values()))["usage"]) // 2
    yield f"Most used experts of layer {layer}, by domain, with their share of the choices:\n"
    yield from head("rows | experts")
    for name, item in held.items():
        usage: Sequence[float] = item["usage"][layer]
        best = sorted(range(len(usage)), key=lambda expert: -usage[expert])[:4]
        yield f"| {name} | {', '.join(f'{e} ({usage[e]:.2f})' for e in best)} |"
