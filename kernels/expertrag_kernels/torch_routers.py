"""The experts that a router chooses for a row, in torch; see ``cpu/routers.h``."""

from __future__ import annotations

from collections.abc import Callable

import torch

Choice = tuple[torch.Tensor, torch.Tensor]
"""Weights (T, K) and experts (T, K), best first."""


def router(
    top_k: int,
    *,
    sigmoid: bool,
    groups: int,
    top_groups: int,
    correction: torch.Tensor | None,
    mixer_margin: float | None,
) -> Callable[[torch.Tensor, torch.Tensor | None], Choice]:
    """Return the choice by logits (T, E) of a router; for its options see ``Steps.route``.

    The function's second argument (T, E) marks experts that are not chosen, by softmax alone.
    """

    def choose(logits: torch.Tensor, closed: torch.Tensor | None) -> Choice:
        if sigmoid:
            weights, index = logits.sigmoid().topk(top_k)
            return weights, index
        if correction is not None:
            return corrected(logits, correction, top_k, groups=groups, top_groups=top_groups)
        if mixer_margin is not None:
            return mixed(logits, top_k, mixer_margin)
        return chosen(logits, top_k, groups=groups, top_groups=top_groups, closed=closed)

    return choose


def chosen(
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
    if top_groups < groups:
        best = shares.unflatten(1, (groups, -1)).amax(2)
        shares = shares.masked_fill(_closed(best, top_groups, shares.shape[1]), 0.0)
    if closed is not None:
        shares = shares.masked_fill(closed, 0.0)
    weights, index = shares.topk(top_k)
    return weights, index


def closed_nulls(limits: torch.Tensor, experts: int, nulls: int) -> torch.Tensor | None:
    """Mark the null experts that the policy of each row closes: (T, E) bool; None without any.

    :param limits: (T, 4), see :func:`expertrag_kernels.routing.routing_rows`.
    :param nulls: how many of the experts, the last ones, are null experts.
    """
    if not nulls:
        return None
    number = torch.arange(experts, device=limits.device) - (experts - nulls)
    return number >= limits[:, 3:]


def corrected(
    logits: torch.Tensor,
    correction: torch.Tensor,
    top_k: int,
    *,
    groups: int = 1,
    top_groups: int = 1,
) -> Choice:
    """Choose by sigmoid and a correction; the weights are without it (DeepSeek-V3, eq. 16).

    Only experts of the groups whose two best have the highest sums are chosen.

    :param correction: (E,) float32.
    """
    weights = logits.sigmoid()
    scores = weights + correction
    if top_groups < groups:
        best = scores.unflatten(1, (groups, -1)).topk(2, dim=2).values.sum(2)
        scores = scores.masked_fill(_closed(best, top_groups, scores.shape[1]), -torch.inf)
    index = scores.topk(top_k).indices
    return weights.gather(1, index), index


def mixed(logits: torch.Tensor, top_k: int, margin: float) -> Choice:
    """Choose by logits; each weight is a share among the experts that are left and close to it.

    SparseMixer at inference (Liu et al. 2024, arXiv 2409.12136). Experts are close if their logits
    differ by at most ``margin``, relative to the larger absolute value.
    """
    left, weights, index = logits, [], []
    for _ in range(top_k):
        most, best = left.max(dim=1, keepdim=True)
        far = (most - logits) / torch.maximum(logits.abs(), most) > margin
        weights.append(left.masked_fill(far, -torch.inf).softmax(1).gather(1, best))
        index.append(best)
        left = left.scatter(1, best, -torch.inf)
    return torch.cat(weights, 1), torch.cat(index, 1)


def pruned(
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


def _closed(scores: torch.Tensor, top_groups: int, experts: int) -> torch.Tensor:
    """Mark the experts outside of the groups with the highest scores: (T, E) bool."""
    best = scores.topk(top_groups).indices
    closed = torch.ones_like(scores, dtype=torch.bool).scatter_(1, best, False)
    return closed.repeat_interleave(experts // scores.shape[1], dim=1)
