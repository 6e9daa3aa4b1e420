"""Figures of a trained router."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RouterFigures:
    """Figures of a router on texts that it was not trained on.

    ``accuracy`` of the most likely domain, ``ece`` of its probability. ``known``: the share of
    texts that are assigned to any domain. ``use``: the share of texts assigned to each domain, with
    none of them last; a domain with a share of 0 has collapsed.
    """

    accuracy: float
    ece: float
    known: float
    texts: int
    use: tuple[float, ...] = ()
