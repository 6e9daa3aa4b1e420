"""Split the feed-forward network of one layer: which neurons each expert gets, and a router.

T tokens, E routed experts, S shared ones, W neurons of an expert
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from expertrag_lab.surgery.splitting.neuron_activity import (
    ACTIVE_SHARE,
    activations,
    active_neurons,
)
from expertrag_lab.surgery.splitting.neuron_clusters import cluster_neurons
from expertrag_lab.surgery.splitting.router_fit import (
    contributions,
    fit_router,
    share_of_best,
)
from expertrag_lab.surgery.splitting.split_sizes import SplitSizes

_HELD = 8  # of so many tokens, one is kept from the router's fit, to measure it


@dataclass(frozen=True, slots=True)
class LayerSplit:
    """The neurons of a layer's experts, and its router.

    :param shared: (S * W,) neurons of the shared experts.
    :param routed: (E, W) neurons of the others.
    :param weight: (E, H) of the router.
    :param bias: (E,) of the router.
    :param scale: () largest absolute product of the router's weights and a token.
    :param kept: (3,) share of the routed experts' contributions that a token's experts have, on
        tokens that the router has not seen: if the router chooses, if the largest are chosen, and
        if they are chosen by how often each is among these.
    """

    shared: torch.Tensor
    routed: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor
    scale: torch.Tensor
    kept: torch.Tensor

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all values by their names."""
        return asdict(self)

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor]) -> LayerSplit:
        """Read what :meth:`tensors` returned."""
        return cls(**tensors)


@torch.inference_mode()
def split_layer(
    network: Any, inputs: torch.Tensor, sizes: SplitSizes, active_share: float = ACTIVE_SHARE
) -> LayerSplit:
    """Split a network by what its neurons do for some tokens.

    The neurons that are active for the most tokens become the shared experts, the others are
    clustered (CMoE, Pei et al. 2025).

    :param network: dense, with ``gate_proj``, ``up_proj``, ``down_proj`` and ``act_fn``.
    :param inputs: (T, H) what it gets.
    :param active_share: of the neurons, that count as active for a token.
    """
    down = network.down_proj.weight
    given = activations(network, inputs)
    active = active_neurons(given, down, active_share)
    width = sizes.width(active.shape[1])
    order = active.sum(dim=0).argsort(descending=True, stable=True)
    shared, rest = (part.sort().values for part in order.tensor_split([sizes.shared * width]))
    routed = rest[cluster_neurons(active[:, rest], sizes.routed)]
    return _route(inputs, contributions(given, down, routed), shared, routed, sizes.per_token)


def _route(
    inputs: torch.Tensor,
    norms: torch.Tensor,
    shared: torch.Tensor,
    routed: torch.Tensor,
    per_token: int,
) -> LayerSplit:
    """Add a router to a layer's experts, and measure it on the tokens that it was not fitted on."""
    held = torch.arange(len(inputs)) % _HELD == _HELD - 1
    router = fit_router(inputs[~held], norms[~held])
    best = norms[~held].topk(per_token, dim=1).indices
    often = torch.bincount(best.flatten(), minlength=norms.shape[1]).float()
    own = norms[held]
    choices = router.scores(inputs[held]), own, often.expand_as(own)
    kept = torch.tensor([share_of_best(own, scores, per_token) for scores in choices])
    scale = (inputs.float() @ router.weight.T).abs().amax()
    return LayerSplit(shared, routed, router.weight, router.bias, scale, kept)
