"""What happens to the weights of the experts that stay when a router has fewer to share among.

Families that renormalise the weights of the chosen experts (Mixtral, Granite-MoE, gpt-oss, and with
``norm_topk_prob`` Qwen3-MoE) or have sigmoids (DeepSeek-V3, GLM-4.5) are not concerned. Where
weights are probabilities of a softmax over all experts (OLMoE, Qwen2-MoE, DeepSeek-V2), the
denominator loses terms. They are the terms of the experts that are gone, and all others weigh more.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.engine.families import routing_of
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import ExpertUse

_OUTPUTS = "experts.down_proj"
"""Beginning of the names of what an expert's output is linear in: matrix and bias."""


class Denominators(StrEnum):
    """What is done about the denominators of softmaxes over all experts.

    - ``keep``: weights are on average what they were. Outputs of the experts that stay are scaled
      by the probability that they had together.
    - ``renormalise``: routers are left alone, so the probabilities of those that stay sum to 1.
    - ``auto``: for families whose weights are probabilities over all experts, ``keep`` when experts
      are dropped, or merged where a token uses one. Otherwise ``renormalise``, which changes
      nothing in other families.
    """

    AUTO = "auto"
    KEEP = "keep"
    RENORMALISE = "renormalise"


def over_all_experts(mixture: Mixture) -> bool:
    """Return whether weights are probabilities of a softmax over all experts.

    SparseMixer's (Phi-MoE) are probabilities among the experts near the best, whichever these are.
    """
    router = routing_of(mixture.model.config, mixture.layers[0].router)
    return not (router.is_mixed or router.is_corrected or router.normalise)


def decide(mixture: Mixture, wanted: Denominators) -> Denominators:
    """Return what is done for a mixture's family.

    :raises InvalidArgument: ``keep`` is wanted where weights do not depend on the other experts.
    """
    concerned = over_all_experts(mixture)
    if wanted is Denominators.KEEP and not concerned:
        raise InvalidArgument(
            f"the weights of {mixture.model.config.model_type} do not share a softmax over all "
            "experts, so there are no denominators to keep: use auto"
        )
    if wanted is Denominators.AUTO:
        return Denominators.KEEP if concerned else Denominators.RENORMALISE
    return wanted


def factors_of(use: ExpertUse, kept: torch.Tensor, choice: Denominators) -> torch.Tensor:
    """Return what the outputs of the experts that stay are multiplied by (L,).

    For ``keep``, it is the mean probability that they had together; 1 where all stay.

    :param kept: (L, R) experts, null ones included.
    """
    own, whole = use.probability.gather(1, kept).sum(dim=1), use.probability.sum(dim=1)
    every = kept.shape[1] == use.probability.shape[1]
    if every or choice is not Denominators.KEEP:
        return torch.ones_like(own)
    return torch.where(whole > 0, own / whole, 1.0)


def scale(weights: Mapping[str, torch.Tensor], factor: float) -> dict[str, torch.Tensor]:
    """Return a layer's weights with the outputs of its experts multiplied by a factor."""
    if factor == 1.0:
        return dict(weights)
    return {
        name: (tensor.float() * factor).to(tensor.dtype) if name.startswith(_OUTPUTS) else tensor
        for name, tensor in weights.items()
    }
