"""Which experts stay: how many a layer can keep, and the best ones by their scores.

L layers with routed experts, E experts of a layer, null ones excluded
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.engine.families import routing_of
from expertrag_kernels.router import Router
from expertrag_lab.surgery.profiling.importance import ExpertProfile

if TYPE_CHECKING:
    from expertrag_lab.surgery.mixture import Mixture  # imports transformers, which takes seconds

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class ExpertCounts:
    """The numbers of experts that a layer of a mixture can keep.

    :param experts: that a layer has now, null ones excluded.
    :param groups: of the router; each keeps the same number.
    :param least: experts that a group needs.
    :param reason: why; empty if one expert is enough.
    """

    experts: int
    groups: int
    least: int
    reason: str

    @classmethod
    def of(cls, mixture: Mixture) -> ExpertCounts:
        """Read a mixture's routers."""
        router = routing_of(mixture.model.config, mixture.layers[0].router)
        experts, top_k, nulls = mixture.num_experts, mixture.top_k, mixture.null_experts
        return cls.of_router(replace(router, experts=experts, top_k=top_k, nulls=nulls))

    @classmethod
    def of_router(cls, router: Router) -> ExpertCounts:
        """Read one of a mixture's routers, which are alike."""
        groups, least, reason = router.groups, 1, ""
        if router.is_corrected:
            least, reason = 2, "the router scores a group by its two best experts"
        elif router.is_mixed:
            least, reason = 2, "the router chooses two experts"
        elif router.nulls:
            least, reason = 2, "null experts need two others"
        if groups > 1:
            needed = math.ceil(router.top_k / router.top_groups)
            if needed >= least:
                least = needed
                reason = (
                    f"the router chooses {router.top_k} experts from {router.top_groups} groups"
                )
            reason += f", and all {groups} groups keep the same number, at least {least}"
        return cls(router.experts - router.nulls, groups, least, reason)

    @property
    def possible(self) -> range:
        """The numbers, from the least."""
        return range(self.groups * self.least, self.experts + 1, self.groups)

    def count(self, keep: float | int) -> int:
        """Return a number of experts per layer.

        :param keep: a float for a share, above 0 and up to 1, which is rounded up to a number that
            all groups can have; an integer for a number.
        :raises InvalidArgument: the number is not possible; the message names those that are.
        """
        wanted = keep
        if isinstance(keep, float):
            if not 0 < keep <= 1:
                raise InvalidArgument(
                    "the experts of a layer are a share above 0, up to 1, or a whole number; got "
                    f"{keep:g}"
                )
            wanted = self.groups * math.ceil(keep * self.experts / self.groups - _ROUNDING)
        if wanted not in self.possible:
            reason = f" ({self.reason})" if self.reason else ""
            raise InvalidArgument(
                f"{wanted} of {self.experts} experts a layer are not possible{reason}: use "
                f"{self._describe()}"
            )
        return int(wanted)

    def _describe(self) -> str:
        *others, last = map(str, self.possible)
        if not others:
            return last
        return f"{others[0]} to {last}" if self.groups == 1 else f"{', '.join(others)} or {last}"


def check_shape(mixture: Mixture, profile: ExpertProfile) -> None:
    """Check that a profile describes the layers and experts of a mixture.

    :raises InvalidArgument: it does not.
    """
    needed = [layer.number for layer in mixture.layers], mixture.num_experts
    actual = list(profile.numbers), profile.use().selected.shape[1]
    if needed != actual:
        raise InvalidArgument(
            f"the profile has {actual[1]} experts in layers {actual[0]}, {mixture.name} has "
            f"{needed[1]} in layers {needed[0]}: profile this model"
        )


def check_names(mixture: Mixture) -> None:
    """Check that routers choose the experts, and no names.

    :raises InvalidArgument: the experts have names.
    """
    if names := getattr(mixture.model.config, "expert_names", None):
        raise InvalidArgument(
            f"{mixture.name} has one expert for each of {', '.join(names)}, and its router does "
            "not choose among them: drop those that you do not need with `expertrag llm prune`"
        )


def best_experts(
    scores: torch.Tensor,
    count: int,
    groups: int = 1,
    always: torch.Tensor | None = None,
    cure: str = "",
) -> torch.Tensor:
    """Return the best experts of each layer (L, ``count``), in ascending order.

    :param scores: (L, E); of equal ones, the first experts are the best.
    :param groups: of consecutive experts, each of which has the same number of the best.
    :param always: (L, E) experts that are among the best whatever their scores.
    :param cure: what else helps if they are too many, for the error.
    :raises InvalidArgument: a group has more of them than it can keep.
    """
    layers, experts = scores.shape
    of_group = count // groups
    if always is not None:
        most = int(always.reshape(layers, groups, -1).sum(-1).max())
        if most > of_group:
            where = "layer" if groups == 1 else "group"
            raise InvalidArgument(
                f"a {where} has {most} experts that are never dropped (super experts, or experts "
                f"of every domain), and would keep {of_group}: keep {most * groups} or more{cure}"
            )
        scores = scores.masked_fill(always, math.inf)
    parts = scores.reshape(layers, groups, experts // groups)
    order = parts.argsort(dim=-1, descending=True, stable=True)[..., :of_group]
    starts = torch.arange(groups)[:, None] * (experts // groups)
    return (order + starts).flatten(1).sort(dim=1).values
