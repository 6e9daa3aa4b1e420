"""One expert for all tokens of a sequence, in models that transformers runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class ChosenExpert:
    """Overrides the routers of a mixture, for the calling thread only."""

    def __init__(self, model: nn.Module) -> None:
        self._chosen = threading.local()
        for name, module in model.named_modules():
            if name.endswith(".mlp.gate"):
                module.register_forward_hook(self._route)

    @contextmanager
    def only(self, expert: int) -> Iterator[None]:
        """Route all tokens of this thread to one expert."""
        self._chosen.expert = expert
        try:
            yield
        finally:
            self._chosen.expert = None

    def _route(self, _gate: nn.Module, _given: Any, routed: Any) -> Any:
        expert = getattr(self._chosen, "expert", None)
        if expert is None:
            return routed
        logits, weights, index = routed
        # all top-k places choose the same expert, and their weights add up to 1
        weights = torch.full_like(weights, 1 / weights.shape[-1])
        return logits, weights, torch.full_like(index, expert)
