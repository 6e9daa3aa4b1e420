"""Evidence of each block of signals, combined by Dempster's rule.

Each block of signals gives evidence e ≥ 0 for K = 4 outcomes (none right, closed book alone,
retrieval alone, both). They are the parameters e + 1 of a Dirichlet distribution. Belief is e / S
and uncertainty K / S with S = Σ e + K. Blocks are combined by the reduced Dempster rule of trusted
multi-view classification (Han et al. 2021, equations 2 to 5) and trained with the expected
cross-entropy of each block and of the combination (equation 8). The remaining uncertainty is
distributed over the outcomes by their share in the rows (the base rates of subjective logic). So a
query unlike all others is treated like the average query.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.learners.base import Arrays, GateModel, Rows

if TYPE_CHECKING:
    from torch import Tensor

_OUTCOMES = 4
_STEPS = 150
_RATE = 0.01
_MOST_LOGIT = 30.0  # limits the evidence; softplus is linear there


@dataclass(frozen=True, slots=True, eq=False)
class Evidential(GateModel):
    """Weights [F, K], biases [B, K], base rates [K]; ``starts`` [B + 1] bounds the B blocks."""

    name = "evidential"
    weights: Matrix
    bias: Matrix
    rates: Matrix
    starts: Matrix

    @classmethod
    def fit(cls, rows: Rows, seed: int, **settings: Any) -> Self:
        """Fit with Adam, all rows in one batch. ``penalty``: weight decay."""
        import torch

        stops = [block.stop for block in rows.design.slices.values()]
        starts = [0, *stops]
        generator = torch.Generator().manual_seed(seed)
        x = torch.from_numpy(rows.x).float()
        closed, retrieval = rows.right.T
        outcome = torch.from_numpy(closed + 2 * retrieval.astype(np.int64))
        weights = (torch.randn(x.shape[1], _OUTCOMES, generator=generator) * 0.01).requires_grad_()
        bias = torch.zeros(len(stops), _OUTCOMES, requires_grad=True)
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
        rates = np.bincount(outcome.numpy(), minlength=_OUTCOMES) / len(outcome)
        return cls(
            weights.detach().double().numpy(),
            bias.detach().double().numpy(),
            rates,
            np.array(starts, float),
        )

    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2]."""
        belief, uncertainty = self._opinion(x)
        outcomes = belief + uncertainty * self.rates
        closed = outcomes[:, 1] + outcomes[:, 3]
        retrieval = outcomes[:, 2] + outcomes[:, 3]
        return np.stack([closed, retrieval], axis=1)

    def uncertainty(self, x: Matrix) -> Matrix:
        """Return the uncertainty in [0, 1] of each query [N]."""
        return self._opinion(x)[1][:, 0]

    def _opinion(self, x: Matrix) -> tuple[Matrix, Matrix]:
        """Return belief [N, K] and uncertainty [N, 1] of all blocks together."""
        starts = self.starts.astype(int)
        belief, uncertainty = np.zeros((len(x), _OUTCOMES)), np.ones((len(x), 1))
        for block, (a, b) in enumerate(itertools.pairwise(starts)):
            logits = x[:, a:b] @ self.weights[a:b] + self.bias[block]
            evidence = np.logaddexp(0.0, np.minimum(logits, _MOST_LOGIT))
            total = evidence.sum(axis=1, keepdims=True) + _OUTCOMES
            belief, uncertainty = _dempster(
                belief, uncertainty, evidence / total, _OUTCOMES / total
            )
        return belief, uncertainty

    def dump(self) -> Arrays:
        """Return the state."""
        return {name: getattr(self, name) for name in _STATE}

    @classmethod
    def load(cls, arrays: Arrays) -> Self:
        """Read the state."""
        return cls(*(arrays[name].astype(float) for name in _STATE))


_STATE = ("weights", "bias", "rates", "starts")


def _dempster(b1: Any, u1: Any, b2: Any, u2: Any) -> tuple[Any, Any]:
    """Combine two opinions, arrays or tensors: belief [N, K] and uncertainty [N, 1]."""
    conflict = b1.sum(1)[:, None] * b2.sum(1)[:, None] - (b1 * b2).sum(1)[:, None]
    scale = 1.0 / (1.0 - conflict)
    return scale * (b1 * b2 + b1 * u2 + b2 * u1), scale * u1 * u2


def _combine(views: list[Tensor]) -> Tensor:
    """Return the evidence [N, K] of all views together."""
    totals = [view.sum(1, keepdim=True) + _OUTCOMES for view in views]
    belief, uncertainty = views[0] / totals[0], _OUTCOMES / totals[0]
    for view, total in zip(views[1:], totals[1:], strict=True):
        belief, uncertainty = _dempster(belief, uncertainty, view / total, _OUTCOMES / total)
    evidence: Tensor = belief * _OUTCOMES / uncertainty
    return evidence


def _mean_cross_entropy(evidence: Tensor, outcome: Tensor) -> Tensor:
    """Mean over rows of E[-log p(outcome)] under the Dirichlet distribution."""
    import torch

    alpha = evidence + 1.0
    chosen = alpha.gather(1, outcome[:, None])
    return (torch.digamma(alpha.sum(1, keepdim=True)) - torch.digamma(chosen)).mean()
