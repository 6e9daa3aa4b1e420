"""Neurons in clusters of the same size: those that are active for the same tokens.

T tokens, N neurons, C clusters, W neurons of a cluster
"""

from __future__ import annotations

import torch

from expertrag_lab.surgery.splitting.balanced_assignment import balance

_MOST_ROUNDS = 8


def cluster_neurons(active: torch.Tensor, count: int) -> torch.Tensor:
    """Return the neurons of each cluster (C, W), ascending: k-means with clusters of one size.

    As in CMoE (Pei et al. 2025), distances are sums of absolute differences between a neuron's
    activity and the mean of a cluster. Neurons are assigned so that the sum of the distances is the
    least possible. CMoE's clusters begin as the neurons that are active the most often, which may
    be alike; here, these only begin apart (see :func:`centres_of`).

    :param active: (T, N) which neuron is active for which token.
    :param count: C, which divides N.
    """
    points = active.T.float()  # [N, T]
    size = len(points) // count
    centres, cluster = centres_of(points, count), torch.empty(0)
    for _ in range(_MOST_ROUNDS):
        costs = distances(points, centres).double().numpy()
        assignment = torch.from_numpy(balance(costs, size))
        if torch.equal(assignment, cluster):
            break
        cluster = assignment
        centres = torch.stack([points[cluster == each].mean(dim=0) for each in range(count)])
    return cluster.argsort(stable=True).view(count, size)


def centres_of(points: torch.Tensor, count: int) -> torch.Tensor:
    """Return the first centres (C, T): the most active neuron, then always the one farthest away.

    :param points: (N, T).
    """
    chosen = [int(points.sum(dim=1).argmax())]
    nearest = torch.full((len(points),), torch.inf)
    for _ in range(count - 1):
        nearest = nearest.minimum(distances(points, points[chosen[-1:]])[:, 0])
        chosen.append(int(nearest.argmax()))
    return points[chosen]


def distances(points: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Return sums of absolute differences (N, C) between zeros and ones, and means of them.

    |p - c| is c where p is 0, and 1 - c where p is 1.

    :param points: (N, T) zeros and ones.
    :param centres: (C, T), from 0 to 1.
    """
    return centres.sum(dim=1) + points @ (1.0 - 2.0 * centres).T
