"""Which experts serve each text of the forward pass that is running.

The layers of a model are called by its own code, which knows nothing of experts, so the choice
reaches them through a context variable: each thread that encodes has one of its own.

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
class Routing:
    """The routing of one batch.

    ``mask``: (N, L), 1 for tokens that count. ``allowed``: domains to choose among, None for all.
    ``index``: (N, K), E and above for none, and ``weights``: (N, K); None until they are chosen,
    which happens where the experts begin. ``pooled``: (N, H), what the router sees of the texts
    there, and ``posterior``: (N, E + 1), what it makes of it, the last column "none of them"; None
    where the experts were given. ``alone``: the pass ends once they are chosen.
    """

    mask: torch.Tensor
    allowed: Collection[str] | None = None
    index: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    pooled: torch.Tensor | None = None
    posterior: torch.Tensor | None = None
    alone: bool = False


_current: ContextVar[Routing | None] = ContextVar("expertrag_routing", default=None)


@contextmanager
def routed(routing: Routing) -> Iterator[None]:
    """Run a forward pass under ``routing``."""
    token = _current.set(routing)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Routing | None:
    """Return the routing of the pass that is running; None outside one."""
    return _current.get()
