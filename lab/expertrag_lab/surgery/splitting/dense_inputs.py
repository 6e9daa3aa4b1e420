"""What the feed-forward networks of a dense model get, for tokens of some texts.

T tokens that are kept, H hidden
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from expertrag_index.types import Progress

Tokens = Sequence[int]


@torch.inference_mode()
def dense_inputs(
    model: Any, texts: Sequence[Tokens], most: int, seed: int, progress: Progress
) -> list[torch.Tensor]:
    """Run texts, and return the input (T, H) of each layer's network, in the model's data type.

    :param most: tokens to keep, drawn from all texts with ``seed``.
    """
    total = sum(map(len, texts))
    generator = torch.Generator().manual_seed(seed)
    kept = torch.zeros(total, dtype=torch.bool)
    kept[torch.randperm(total, generator=generator)[:most]] = True
    parts: list[list[torch.Tensor]] = [[] for _ in model.model.layers]
    start = 0
    for done, text in enumerate(texts):
        progress("split: read prompts", done, len(texts))
        own = kept[start : start + len(text)]
        start += len(text)
        with _listening(model) as heard:
            model.model(input_ids=torch.tensor([list(text)]), use_cache=False)
        for part, given in zip(parts, heard, strict=True):
            part.append(given[own])
    progress("split: read prompts", len(texts), len(texts))
    return [torch.cat(part) for part in parts]


@contextmanager
def _listening(model: Any) -> Iterator[list[torch.Tensor]]:
    """Collect the inputs of the networks of all layers, in their order."""
    heard: list[torch.Tensor] = []

    def hear(_module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        heard.append(given[0].flatten(0, -2))

    hooks = [layer.mlp.register_forward_pre_hook(hear) for layer in model.model.layers]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()
