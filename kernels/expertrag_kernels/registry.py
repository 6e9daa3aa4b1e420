"""Registry of implementations of ``fused_experts``: each is a file with one decorated function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from expertrag_kernels.packed import Experts

Run = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Experts], torch.Tensor]
Supports = Callable[[torch.Tensor, torch.Tensor, Experts], bool]
"""Called with x (T, H), the routing weights (T, K) and the experts."""


@dataclass(frozen=True, slots=True)
class Implementation:
    """One implementation; of those that support a call, the one with the highest priority runs."""

    name: str
    priority: int
    supports: Supports
    run: Run


_implementations: list[Implementation] = []


def implementation(name: str, *, priority: int, supports: Supports) -> Callable[[Run], Run]:
    """Register the decorated function as implementation ``name``."""

    def add(run: Run) -> Run:
        _implementations.append(Implementation(name, priority, supports, run))
        _implementations.sort(key=lambda entry: -entry.priority)
        return run

    return add


def choose(x: torch.Tensor, top_k_weights: torch.Tensor, experts: Experts) -> Implementation:
    """Return the best implementation for a call; the reference supports every call."""
    return next(entry for entry in _implementations if entry.supports(x, top_k_weights, experts))


def wants_gradients(*tensors: torch.Tensor) -> bool:
    """Whether a call must be differentiable; the fused kernels are not."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
