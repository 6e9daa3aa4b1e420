"""The experts that a router chooses for a row, in torch; see ``cpu/routers.h``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from expertrag_kernels.routing import AS_THE_MODEL

if TYPE_CHECKING:
    from expertrag_kernels.router import Router
    from expertrag_kernels.steps import SequenceRows
    from expertrag_kernels.torch_rows import TokenRows

Choice = tuple[torch.Tensor, torch.Tensor]
"""Weights (T, K) and experts (T, K), best first."""


def chooser(
    router: Router, device: torch.device
) -> Callable[[torch.Tensor, torch.Tensor | None], Choice]:
    """Return the choice of a router by its logits (T, E).

    The function's second argument (T, E) marks experts that are not chosen, if there are any.
    Places that no expert is left for have the weight 0, and the index E.
    """
    top_k, margin = router.top_k, router.mixer_margin
    groups, top_groups = router.groups, router.top_groups
    correction = router.correction
    if correction is not None:
        correction = correction.to(device, torch.float32)

    def choose(logits: torch.Tensor, closed: torch.Tensor | None) -> Choice:
        if router.sigmoid:
            weights, index = logits.sigmoid().topk(top_k)
            return weights, index
        if correction is not None:
            return choose_corrected(
                logits, correction, top_k, groups=groups, top_groups=top_groups, closed=closed
            )
        if margin is not None:
            return choose_mixed(logits, top_k, margin, closed)
        return choose_top(logits, top_k, groups=groups, top_groups=top_groups, closed=closed)

    return choose


def choose_top(
    logits: torch.Tensor,
    top_k: int,
    *,
    groups: int = 1,
    top_groups: int = 1,
    closed: torch.Tensor | None = None,
) -> Choice:
    """Choose by softmax, in the groups whose best experts are best.

    :param logits: (T, E) float32.
    :param closed: (T, E) bool, experts that are not chosen; they count in the softmax.
    """
    shares = logits.softmax(-1)
    scores = shares if closed is None else shares.masked_fill(closed, -torch.inf)
    if top_groups < groups:
        best = scores.unflatten(1, (groups, -1)).amax(2)
        scores = scores.masked_fill(_mark_outside(best, top_groups, scores.shape[1]), -torch.inf)
    return _best(scores, shares, top_k)


def count_experts(texts: Sequence[SequenceRows], routers: Sequence[Router]) -> tuple[int, int]:
    """Count the experts that the rows of a batch use, and how often the rows are routed.

    No expert is counted if some of the chosen ones are not used: then the steps count.
    """
    layers, chosen = len(routers), sum(router.main for router in routers)
    pruned = any(router.nulls for router in routers) or any(
        text.routing != AS_THE_MODEL or text.open is not None for text in texts
    )
    used = routed = 0
    for text in texts:
        rows = text.stop - text.start
        routed += rows * layers
        if not pruned:
            used += rows * (chosen if text.expert < 0 else layers)
    return used, routed


def mark_closed(rows: TokenRows, place: int, router: Router) -> torch.Tensor | None:
    """Mark the experts that a router must not choose: (T, E) bool; None if there are none.

    They are those outside of the row's pattern, and null experts that its policy closes.

    :param place: of the router among all.
    """
    experts, closed = router.experts, None
    if rows.patterns is not None:
        closed = ~rows.patterns[rows.pattern, place, :experts]
    if router.nulls and rows.routing is not None:
        number = torch.arange(experts, device=rows.routing.device) - router.true_experts
        shut = number >= rows.routing[:, 3:]
        closed = shut if closed is None else closed | shut
    return closed


def choose_corrected(
    logits: torch.Tensor,
    correction: torch.Tensor,
    top_k: int,
    *,
    groups: int = 1,
    top_groups: int = 1,
    closed: torch.Tensor | None = None,
) -> Choice:
    """Choose by sigmoid and a correction; the weights are without it (DeepSeek-V3, eq. 16).

    Only experts of the groups whose two best have the highest sums are chosen.

    :param correction: (E,) float32.
    :param closed: (T, E) bool, experts that are not chosen.
    """
    weights = logits.sigmoid()
    scores = weights + correction
    if closed is not None:
        scores = scores.masked_fill(closed, -torch.inf)
    if top_groups < groups:
        best = scores.unflatten(1, (groups, -1)).topk(2, dim=2).values.sum(2)
        scores = scores.masked_fill(_mark_outside(best, top_groups, scores.shape[1]), -torch.inf)
    return _best(scores, weights, top_k)


def choose_mixed(
    logits: torch.Tensor, top_k: int, margin: float, closed: torch.Tensor | None = None
) -> Choice:
    """Choose by logits; each weight is a share among the experts that are left and close to it.

    SparseMixer at inference (Liu et al. 2024, arXiv 2409.12136). Experts are close if their logits
    differ by at most ``margin``, relative to the larger absolute value.

    :param closed: (T, E) bool, experts that are not chosen.
    """
    left = logits if closed is None else logits.masked_fill(closed, -torch.inf)
    weights, index = [], []
    for _ in range(top_k):
        most, best = left.max(dim=1, keepdim=True)
        far = (most - logits) / torch.maximum(logits.abs(), most) > margin
        none = most.isinf()
        share = left.masked_fill(far, -torch.inf).softmax(1).gather(1, best)
        weights.append(share.masked_fill(none, 0.0))
        index.append(best.masked_fill(none, logits.shape[1]))
        left = left.scatter(1, best, -torch.inf)
    return torch.cat(weights, 1), torch.cat(index, 1)


def by_text(
    index: torch.Tensor, weights: torch.Tensor, experts: torch.Tensor, none: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return index and weights (T, K) with the expert of a row's text in place of those chosen.

    :param experts: (T,) of each row's text; negative to leave the choice of the router.
    :param none: index that is not an expert.
    """
    own = experts[:, None]
    only = F.pad(own, (0, index.shape[1] - 1), value=none)
    weights = torch.where(own < 0, weights, torch.ones_like(weights))
    return torch.where(own < 0, index, only), weights


def prune(
    weights: torch.Tensor,
    index: torch.Tensor,
    limits: torch.Tensor,
    experts: int,
    *,
    likely: bool,
) -> Choice:
    """Drop the experts that the policy of each row leaves out; their index becomes ``experts``.

    :param limits: (T, 4), see :func:`expertrag_kernels.routing.routing_rows`.
    :param likely: whether weights are probabilities; others are compared by their share among
        the chosen ones.
    """
    shares = weights if likely else weights / weights.sum(1, keepdim=True)
    place = torch.arange(weights.shape[1], device=weights.device)
    most, share, least, _ = limits.T[:, :, None]
    before = shares.cumsum(1) - shares
    kept = (place < most) & (before < share) & (shares >= least) | (place == 0)
    return torch.where(kept, weights, 0.0), torch.where(kept, index, experts)


def _best(scores: torch.Tensor, weights: torch.Tensor, top_k: int) -> Choice:
    """Choose the experts with the highest scores (T, E) above -inf, and their weights."""
    highest, index = scores.topk(top_k)
    none = highest == -torch.inf
    kept = weights.gather(1, index).masked_fill(none, 0.0)
    return kept, index.masked_fill(none, scores.shape[1])


def _mark_outside(scores: torch.Tensor, top_groups: int, experts: int) -> torch.Tensor:
    """Mark the experts outside of the groups with the highest scores: (T, E) bool."""
    best = scores.topk(top_groups).indices
    closed = torch.ones_like(scores, dtype=torch.bool).scatter_(1, best, False)
    return closed.repeat_interleave(experts // scores.shape[1], dim=1)
