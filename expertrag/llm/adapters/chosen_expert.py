"""One expert for all tokens of a sequence, in models that transformers runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from expertrag.llm.adapters.lora import LoraWeights, Projection
from expertrag.llm.adapters.low_rank import LowRankAdapters
from expertrag.llm.adapters.served import of_a_mixture


class _Chosen:
    """The expert of the calling thread."""

    def __init__(self) -> None:
        self._chosen = threading.local()

    @contextmanager
    def only(self, expert: int) -> Iterator[None]:
        """Use one expert for all tokens of this thread."""
        self._chosen.expert = expert
        try:
            yield
        finally:
            self._chosen.expert = None

    @property
    def expert(self) -> int | None:
        expert: int | None = getattr(self._chosen, "expert", None)
        return expert


class ChosenExpert(_Chosen):
    """Overrides the routers of a mixture, for the calling thread only."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name, module in model.named_modules():
            if name.endswith(".mlp.gate"):
                module.register_forward_hook(self._route)

    def _route(self, _gate: nn.Module, _given: Any, routed: Any) -> Any:
        if (expert := self.expert) is None:
            return routed
        logits, weights, index = routed
        # all top-k places choose the same expert, and their weights add up to 1
        weights = torch.full_like(weights, 1 / weights.shape[-1])
        return logits, weights, torch.full_like(index, expert)


class ChosenUpdates(_Chosen):
    """Adds an expert's low-rank updates to feed-forward layers, for the calling thread only."""

    def __init__(self, model: Any, adapters: LowRankAdapters) -> None:
        super().__init__()
        self._parts = [adapters.parts(name) for name in adapters.names]
        by_projection: dict[Projection, dict[str, LoraWeights]] = {}
        for name, updates in adapters.weights.items():
            for projection, (down, up) in updates.items():
                lora = LoraWeights(*(part.to(model.device, model.dtype) for part in (down, up)))
                by_projection.setdefault(projection, {})[name] = lora
        for projection, own in by_projection.items():
            layer = model.model.layers[projection.layer]
            if hasattr(layer.mlp, "experts"):
                raise of_a_mixture()
            layer.get_submodule(projection.module).register_forward_hook(partial(self._update, own))

    def _update(
        self,
        updates: Mapping[str, LoraWeights],
        _projection: nn.Module,
        given: tuple[torch.Tensor],
        result: torch.Tensor,
    ) -> torch.Tensor:
        for name in () if self.expert is None else self._parts[self.expert]:
            if name in updates:
                down, up = updates[name]
                result = result + functional.linear(functional.linear(given[0], down), up)
        return result
