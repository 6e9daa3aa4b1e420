"""A linear router that tells how much each expert would contribute, fitted by least squares.

T tokens, H hidden, E experts, K experts of a token, W neurons of an expert
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

RIDGE = 0.01
"""Penalty of a router's weights, as a share of the mean variance of its inputs."""


@dataclass(frozen=True, slots=True)
class FittedRouter:
    """A router.

    :param weight: (E, H).
    :param bias: (E,) what is added to the products.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def scores(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return a score of each expert (T, E) for inputs (T, H), the best the highest."""
        return inputs.float() @ self.weight.T + self.bias


def contributions(given: torch.Tensor, down: torch.Tensor, experts: torch.Tensor) -> torch.Tensor:
    """Return the norms of the experts' outputs (T, E).

    :param given: (T, I) activations of the dense network's neurons.
    :param down: (H, I).
    :param experts: (E, W) neurons of each.
    """
    columns = down.float()
    return torch.stack([(given[:, own] @ columns[:, own].T).norm(dim=1) for own in experts], dim=1)


def fit_router(inputs: torch.Tensor, norms: torch.Tensor, ridge: float = RIDGE) -> FittedRouter:
    """Fit a router that predicts the experts' shares of the sum of ``norms``.

    Leaving out an expert costs about the norm of its output, so the best choice are the experts
    with the largest. Of each token the shares are predicted, since a few tokens, such as the first
    one, have outputs that are larger by orders.

    :param inputs: (T, H).
    :param norms: (T, E).
    """
    rows, shares = inputs.double(), norms.double()
    shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-30)
    middle, usual = rows.mean(dim=0), shares.mean(dim=0)
    rows = rows - middle
    products = rows.T @ rows  # [H, H]
    products.diagonal().add_(ridge * products.diagonal().mean().clamp(min=1e-30))
    weight = torch.linalg.solve(products, rows.T @ (shares - usual)).T
    return FittedRouter(weight.float(), (usual - weight @ middle).float())


def share_of_best(norms: torch.Tensor, scores: torch.Tensor, per_token: int) -> float:
    """Return the share of the contributions that a token's experts have, if the best are chosen.

    :param norms: (T, E) contributions.
    :param scores: (T, E) by which the experts are chosen.
    :param per_token: K.
    """
    chosen = scores.topk(per_token, dim=1).indices
    shares = norms.gather(1, chosen).sum(dim=1) / norms.sum(dim=1).clamp(min=1e-30)
    return float(shares.mean())
