"""Settings of a model's embedding experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from expertrag_index.store.manifest import (
    GENERAL as GENERAL,  # the same name in a store and in a model
)


class ExpertForm(StrEnum):
    """The form of an expert's parameters.

    ``LOW_RANK``: an update of rank R for each frozen layer, 2 % of the model's size per expert.
    ``FULL``: copies of the feed-forward layers, as in sparse upcycling (Komatsuzaki et al. 2023).
    """

    LOW_RANK = "low_rank"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class ExpertSettings:
    """The experts of a model.

    ``domains``: their names, in the order of their indexes; never "general".
    ``first_layer``: the first layer with experts. The layers below it are shared, and the router
    reads their output. None means the middle layer.
    ``rank``: rank of low-rank experts.

    :raises ValueError: no domain, a repeated domain, a domain "general", or a rank below 1.
    """

    domains: tuple[str, ...]
    form: ExpertForm = ExpertForm.LOW_RANK
    rank: int = 16
    first_layer: int | None = None

    def __post_init__(self) -> None:
        if not self.domains:
            raise ValueError("no domain given: name at least one")
        if len(set(self.domains)) < len(self.domains) or GENERAL in self.domains:
            raise ValueError(
                f"domains must differ and not be {GENERAL!r} (the base model); "
                f"got {list(self.domains)}"
            )
        if self.rank < 1:
            raise ValueError(f"rank must be 1 or more; got {self.rank}")

    def index_of(self, domain: str | None) -> int:
        """Index of a domain's expert; the number of experts for a domain without one."""
        if domain is None or domain not in self.domains:
            return len(self.domains)
        return self.domains.index(domain)

    def indexes_of(self, domains: Sequence[str | None]) -> list[int]:
        """Indexes of the experts of several domains."""
        return [self.index_of(domain) for domain in domains]
