"""The experts that a router chooses for a row, in torch; see ``cpu/routers.h``."""

from __future__ import annotations

import torch


def chosen(
    logits: torch.Tensor, top_k: int, *, groups: int = 1, top_groups: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose by softmax, in the groups whose best experts are best.

    :param logits: (T, E) float32.
    :returns: weights (T, K) and experts (T, K), best first; so do the functions below.
    """
    shares = logits.softmax(-1)
    if top_groups < groups:
        best = shares.unflatten(1, (groups, -1)).amax(2)
        shares = shares.masked_fill(_closed(best, top_groups, shares.shape[1]), 0.0)
    weights, index = shares.topk(top_k)
    return weights, index


def corrected(
    logits: torch.Tensor,
    correction: torch.Tensor,
    top_k: int,
    *,
    groups: int = 1,
    top_groups: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
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


def mixed(logits: torch.Tensor, top_k: int, margin: float) -> tuple[torch.Tensor, torch.Tensor]:
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
) -> tuple[torch.Tensor, torch.Tensor]:
    """Drop the experts that the policy of each row leaves out; their index becomes ``experts``.

    :param limits: (T, 3), see :func:`expertrag_kernels.routing.routing_rows`.
    :param likely: whether weights are probabilities; others are compared by their share among
        the chosen ones.
    """
    shares = weights if likely else weights / weights.sum(1, keepdim=True)
    place = torch.arange(weights.shape[1], device=weights.device)
    most, share, least = limits.T[:, :, None]
    before = shares.cumsum(1) - shares
    kept = (place < most) & (before < share) & (shares >= least) | (place == 0)
    return torch.where(kept, weights, 0.0), torch.where(kept, index, experts)


def _closed(scores: torch.Tensor, top_groups: int, experts: int) -> torch.Tensor:
    """Mark the experts outside of the groups with the highest scores: (T, E) bool."""
    best = scores.topk(top_groups).indices
    closed = torch.ones_like(scores, dtype=torch.bool).scatter_(1, best, False)
    return closed.repeat_interleave(experts // scores.shape[1], dim=1)
