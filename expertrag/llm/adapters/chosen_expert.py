"""One expert for all tokens of a sequence, in models that transformers runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from expertrag.llm.adapters.low_rank import LowRankAdapters
from expertrag.llm.adapters.served import of_a_mixture
from expertrag_kernels import LowRankUpdates


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
        found: int | None = getattr(self._chosen, "expert", None)
        return found


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
        for number, updates in adapters.layers.items():
            module = model.model.layers[number].mlp
            if hasattr(module, "experts"):
                raise of_a_mixture()
            for part, update in updates._asdict().items():
                own = LowRankUpdates(
                    *(
                        weights.to(model.device, model.dtype)
                        for weights in (update.down, update.up, update.used)
                    )
                )
                projection = module.get_submodule(f"{part}_proj")
                projection.register_forward_hook(partial(self._update, own))

    def _update(
        self,
        updates: LowRankUpdates,
        _projection: nn.Module,
        given: tuple[torch.Tensor],
        result: torch.Tensor,
    ) -> torch.Tensor:
        if (expert := self.expert) is None or not bool(updates.used[expert].any()):
            return result
        tail = functional.linear(given[0], updates.down) * updates.used[expert]
        return result + functional.linear(tail, updates.up)
