"""How often the routers of two mixtures choose the same experts for the same tokens.

Legend: L layers with routed experts, T tokens, K experts a token, E experts of a layer
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from expertrag_index.types import Progress
from expertrag_lab.surgery.mixture import Mixture

Choices = list[tuple[torch.Tensor, ...]]
"""For every text, the chosen experts (T, K) of each layer, int16."""


@torch.inference_mode()
def choices(mixture: Mixture, texts: Sequence[Sequence[int]], report: Progress) -> Choices:
    """Return the experts that a mixture chooses for the tokens of texts.

    :param texts: token ids of each.
    """
    result: Choices = []
    for done, text in enumerate(texts):
        report(f"{mixture.name}: routers", done, len(texts))
        with _watch(mixture) as seen:
            mixture.model.model(input_ids=torch.tensor([list(text)]), use_cache=False)
        result.append(tuple(seen[layer.number] for layer in mixture.layers))
    report(f"{mixture.name}: routers", len(texts), len(texts))
    return result


@contextmanager
def _watch(mixture: Mixture) -> Iterator[dict[int, torch.Tensor]]:
    """Collect what the experts of each layer are called with, by the layer's number."""
    seen: dict[int, torch.Tensor] = {}

    def keep(number: int) -> Any:
        def hook(_module: torch.nn.Module, given: tuple[Any, ...]) -> None:
            seen[number] = given[1].to(torch.int16).clone()

        return hook

    hooks = [
        layer.experts.register_forward_pre_hook(keep(layer.number)) for layer in mixture.layers
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def agreement(
    before: Sequence[Sequence[torch.Tensor]],
    after: Sequence[Sequence[torch.Tensor]],
    members: Sequence[torch.Tensor],
) -> torch.Tensor:
    """Return the share (L,) of the experts chosen after that were chosen before as well.

    :param before: for every text, the chosen experts (T, K) of each layer; so ``after``.
    :param members: for each layer (E after, E before), whether an expert after is, or was merged
        from, one before.
    """
    hits = torch.zeros(len(members), dtype=torch.float64)
    counts = torch.zeros_like(hits)
    for old, new in zip(before, after, strict=True):
        for layer, belongs in enumerate(members):
            chosen = torch.zeros(len(old[layer]), belongs.shape[1], dtype=torch.bool)
            chosen.scatter_(1, old[layer].long(), True)  # [T, E before]
            same = (belongs[new[layer].long()] & chosen[:, None]).any(-1)  # [T, K]
            hits[layer] += same.sum()
            counts[layer] += same.numel()
    return hits / counts.clamp(min=1)
