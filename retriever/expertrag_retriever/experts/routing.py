"""The experts that serve each text of the current forward pass.

The model's own code calls its layers and knows nothing of experts, so the routing reaches them
through a context variable. Each encoding thread has its own.

    N texts, L tokens of the longest, K experts of a text, E experts, H hidden
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class BatchRouting:
    """The routing of one batch.

    ``mask``: (N, L), 0 for padding, 1 for other tokens. ``allowed``: domains to choose among, None
    for all. ``index``: (N, K), E and above for none, and ``weights``: (N, K); None until the first
    layer with experts, where they are chosen. ``pooled``: (N, H), the router's input there, and
    ``posterior``: (N, E + 1), its output, the last column for no domain. None if the experts were
    given. ``alone``: stop the pass once the experts are chosen.
    """

    mask: torch.Tensor
    allowed: Collection[str] | None = None
    index: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    pooled: torch.Tensor | None = None
    posterior: torch.Tensor | None = None
    alone: bool = False


_current: ContextVar[BatchRouting | None] = ContextVar("expertrag_routing", default=None)


@contextmanager
def use_routing(routing: BatchRouting) -> Iterator[None]:
    """Run a forward pass under ``routing``."""
    token = _current.set(routing)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> BatchRouting | None:
    """Return the routing of the current pass; None outside a routed pass."""
    return _current.get()
