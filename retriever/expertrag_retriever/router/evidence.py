"""Words that explain a router's choices; they do not influence the choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DomainEvidence:
    """Words of the training texts, with their values, largest first.

    ``words``: by domain, compared with the other domains. ``prototypes``: for each prototype,
    compared with the other prototypes of its domain.
    """

    words: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    prototypes: tuple[tuple[str, ...], ...] = ()
