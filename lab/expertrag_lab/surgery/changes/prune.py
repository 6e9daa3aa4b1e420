"""Drop experts of a mixture: those that matter least to a team's traffic, by its profile.

L layers with routed experts, E experts, R kept ones
"""

from __future__ import annotations

from collections.abc import Collection

import torch

from expertrag.llm.base import BASE, SHARED, current_names
from expertrag_index.types import Progress, silent
from expertrag_lab.surgery.changes.denominators import Denominators, decide, factors_of, scale
from expertrag_lab.surgery.changes.record import SurgeryStep, record_of
from expertrag_lab.surgery.changes.selection import ExpertCounts, best_experts, check_shape
from expertrag_lab.surgery.mixture import Mixture
from expertrag_lab.surgery.profiling.importance import ExpertProfile, Method

_CURE = ", or --force to drop them as well"


def prune(
    mixture: Mixture,
    profile: ExpertProfile,
    *,
    keep: float | int,
    method: Method,
    domains: Collection[str] = (),
    denominators: Denominators = Denominators.AUTO,
    seed: int = 0,
    force: bool = False,
    progress: Progress = silent,
) -> Mixture:
    """Return a mixture with the most important experts, the same number in every layer.

    Super experts stay unless ``force``; null experts stay, and are not counted. Groups of a router
    keep the same number each. If fewer are left than a token uses, it uses all of them. Keeping all
    gives the same weights, bit for bit.

    Where experts have names (``expert_names``), a text has one expert in every layer. All layers
    keep the same ones, and "shared", "base" and the experts of ``domains`` stay unless ``force``.

    :param keep: a share (float) or number (integer) of the routed experts of a layer; see
        :meth:`ExpertCounts.count`.
    :param domains: of the profile; all if empty.
    :param seed: of the method ``random``.
    :raises InvalidArgument: the number is not possible, a domain is unknown, the profile is of
        another mixture, or ``denominators`` are to be kept where there are none.
    """
    check_shape(mixture, profile)
    choice = decide(mixture, denominators)
    scores = profile.importance(method, domains, seed)
    always = torch.zeros_like(scores, dtype=torch.bool) if force else profile.super_experts()
    names = current_names(getattr(mixture.model.config, "expert_names", None) or ())
    if names:
        scores, always = _of_all_layers(scores, always)
        stay = () if force else (SHARED, BASE, *domains)
        always = always | torch.tensor([name in stay for name in names])
    kept = _keep(mixture, scores, always, keep)
    seen = tuple(domains or profile.domains)
    step = SurgeryStep("prune", profile.model, method, seen, choice, kept.tolist())
    settings = record_of(mixture, step)
    if names:
        settings["expert_names"] = [names[expert] for expert in kept[0].tolist()]
    factors = factors_of(profile.use(domains), kept, choice).tolist()
    experts = []
    for place, layer in enumerate(mixture.layers):
        own = {name: tensor.detach()[kept[place]] for name, tensor in layer.weights.items()}
        experts.append(scale(own, factors[place]))
        progress("prune layers", place + 1, len(kept))
    return mixture.with_experts(experts, **settings)


def _of_all_layers(scores: torch.Tensor, always: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scores with which all layers keep the same experts: their mean share of each layer."""
    shares = scores / scores.sum(dim=1, keepdim=True).clamp(min=1e-30)
    return shares.mean(dim=0).expand_as(scores), always.any(dim=0).expand_as(always)


def _keep(
    mixture: Mixture, scores: torch.Tensor, always: torch.Tensor, keep: float | int
) -> torch.Tensor:
    """Return the experts that each layer keeps (L, R), in ascending order, null ones last."""
    counts = ExpertCounts.of(mixture)
    own = slice(counts.experts)
    best = best_experts(scores[:, own], counts.count(keep), counts.groups, always[:, own], _CURE)
    nulls = torch.arange(counts.experts, mixture.num_experts)
    return torch.cat([best, nulls.expand(len(best), -1)], dim=1)
