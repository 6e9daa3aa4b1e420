"""Fits the model of the gate that combines the evidence of each block of signals.

It is trained with the expected cross-entropy of each block and of the combination (trusted
multi-view classification, Han et al. 2021, equation 8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from expertrag_lab.train.gate.design import Rows
from expertrag_retriever.gate.learners.evidential import OUTCOMES, Evidential, combine_opinions

if TYPE_CHECKING:
    from torch import Tensor

_STEPS = 150
_RATE = 0.01


def fit_evidential(rows: Rows, seed: int, **settings: Any) -> Evidential:
    """Fit with Adam, all rows in one batch. ``penalty``: weight decay."""
    import torch

    stops = [block.stop for block in rows.design.slices.values()]
    starts = [0, *stops]
    generator = torch.Generator().manual_seed(seed)
    x = torch.from_numpy(rows.x).float()
    closed, retrieval = rows.right.T
    outcome = torch.from_numpy(closed + 2 * retrieval.astype(np.int64))
    weights = (torch.randn(x.shape[1], OUTCOMES, generator=generator) * 0.01).requires_grad_()
    bias = torch.zeros(len(stops), OUTCOMES, requires_grad=True)
    adam = torch.optim.AdamW([weights, bias], lr=_RATE, weight_decay=settings["penalty"])
    for _ in range(_STEPS):
        views = [
            torch.nn.functional.softplus(x[:, a:b] @ weights[a:b] + bias[block])
            for block, (a, b) in enumerate(zip(starts[:-1], stops, strict=True))
        ]
        loss = sum(
            (_mean_cross_entropy(view, outcome) for view in [*views, _combine(views)]),
            torch.zeros(()),
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
    rates = np.bincount(outcome.numpy(), minlength=OUTCOMES) / len(outcome)
    return Evidential(
        weights.detach().double().numpy(),
        bias.detach().double().numpy(),
        rates,
        np.array(starts, float),
    )


def _combine(views: list[Tensor]) -> Tensor:
    """Return the evidence [N, K] of all views together."""
    totals = [view.sum(1, keepdim=True) + OUTCOMES for view in views]
    belief, uncertainty = views[0] / totals[0], OUTCOMES / totals[0]
    for view, total in zip(views[1:], totals[1:], strict=True):
        belief, uncertainty = combine_opinions(belief, uncertainty, view / total, OUTCOMES / total)
    evidence: Tensor = belief * OUTCOMES / uncertainty
    return evidence


def _mean_cross_entropy(evidence: Tensor, outcome: Tensor) -> Tensor:
    """Mean over rows of E[-log p(outcome)] under the Dirichlet distribution."""
    import torch

    alpha = evidence + 1.0
    chosen = alpha.gather(1, outcome[:, None])
    return (torch.digamma(alpha.sum(1, keepdim=True)) - torch.digamma(chosen)).mean()
