"""Merge experts of a mixture into fewer: M-SMoE (Li et al. 2024, "Merge, Then Compress", ICLR).

In each layer, the experts that most tokens use are dominant. Each of the others joins the dominant
one whose router logits are most like its own. The neurons of a group are aligned to the neurons of
its dominant expert, and averaged, weighted by how many tokens used each expert. Other than in the
paper, all layers have the same number of groups: a checkpoint of transformers has one for all.

A token that chose several experts of a group gave them the sum of their weights. The merged expert
gets the weight that its dominant expert would have if the others were dropped. The token chooses
other groups in their place. That loses nothing in these cases, and else is approximate:

- All experts of a layer compute the same, and chosen weights sum to a constant, as in families that
  renormalise.
- The experts of each group compute the same, in whatever order of their neurons, and have equal
  rows in the router. Either all groups have n experts, and tokens chose whole groups and now use
  1/n as many experts (``per_token``), with ``renormalise``. Or tokens chose one expert, with
  ``keep``. Families with sigmoids also have to renormalise, and must not score groups of experts by
  their two best.

So where weights are probabilities of a softmax over all experts, ``auto`` renormalises if tokens
chose several experts. A group stands for all of its experts, whose probabilities summed to 1 with
the other groups' experts. On prompts of the trained mixture of ``make lab-fixture-moe``, with 3/4,
1/2 and 1/4 of its experts, that has the lower loss over all tokens.

E experts of a layer
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from expertrag.api.errors import InvalidArgument
from expertrag_index.types import Progress, silent
from expertrag_lab.surgery.changes.denominators import Denominators, decide, factors_of, scale
from expertrag_lab.surgery.changes.neurons import DOWN_BIAS, NeuronLayout, alignment
from expertrag_lab.surgery.changes.record import SurgeryStep, record_of
from expertrag_lab.surgery.changes.selection import (
    ExpertCounts,
    best_experts,
    check_names,
    check_shape,
)
from expertrag_lab.surgery.mixture import Mixture, MixtureLayer
from expertrag_lab.surgery.profiling.importance import ExpertProfile, Method

Groups = Sequence[Sequence[int]]
"""Experts of a layer by group, the dominant one of each first."""
_TWINS = 1 - 1e-6
"""Correlation of router logits above which two experts have the same."""


def merge_experts(
    mixture: Mixture,
    profile: ExpertProfile,
    *,
    groups: float | int,
    domains: Collection[str] = (),
    per_token: int | None = None,
    denominators: Denominators = Denominators.AUTO,
    progress: Progress = silent,
) -> Mixture:
    """Return a mixture with one expert for each group of experts.

    A merged expert has the router's row, bias and correction of its dominant expert: routers choose
    as if the others were dropped. A token that chose several experts of a group gave them the sum
    of their weights. The module tells when that is what the merged expert gets.

    Super experts stay as they are: they are dominant, and others join them only where a group of
    the router has no other dominant expert. Null experts stay, and are not counted. Groups of a
    router stay apart.

    :param groups: number of experts of a layer (integer), or their share of those before (float).
    :param domains: whose use of the experts counts; all of the profile's if empty.
    :param per_token: experts that a token uses; None for as many as before, or all that are left.
    :raises InvalidArgument: a number is not possible, a domain is unknown, the experts have names,
        the profile is of another mixture, or ``denominators`` are to be kept where there are none.
    """
    check_names(mixture)
    check_shape(mixture, profile)
    choice, count = _decide(mixture, denominators), ExpertCounts.of(mixture).count(groups)
    use, layer_groups = profile.use(domains), _all_groups(mixture, profile, count, domains)
    step = SurgeryStep(
        "merge",
        profile.model,
        Method.FREQUENCY,
        tuple(domains or profile.domains),
        choice,
        layer_groups,
    )
    settings = record_of(mixture, step)
    if per_token is not None:
        settings["num_experts_per_tok"] = _check(per_token, count, mixture)
    dominant = torch.tensor([[group[0] for group in layer] for layer in layer_groups])
    factors = factors_of(use, dominant, choice).tolist()
    experts = []
    for place, layer in enumerate(mixture.layers):
        own = _merge(layer, layer_groups[place], use.selected[place])
        experts.append(scale(own, factors[place]))
        progress("merge layers", place + 1, len(layer_groups))
    return mixture.with_experts(experts, **settings)


def _decide(mixture: Mixture, wanted: Denominators) -> Denominators:
    """Return what is done about denominators: as in pruning, but for ``auto``."""
    if wanted is Denominators.AUTO and mixture.top_k > 1:
        return Denominators.RENORMALISE
    return decide(mixture, wanted)


def _all_groups(
    mixture: Mixture, profile: ExpertProfile, count: int, domains: Collection[str]
) -> list[Groups]:
    """Return the groups of each layer; null experts are groups of one, the last ones."""
    experts, alone = mixture.num_experts - mixture.null_experts, profile.super_experts()
    frequency, similarity = profile.use(domains).selected, profile.similarity()
    nulls = [[null] for null in range(experts, mixture.num_experts)]
    return [
        [
            *group_experts(
                frequency[place, :experts],
                similarity[place],
                count,
                mixture.groups,
                alone[place, :experts],
            ),
            *nulls,
        ]
        for place in range(len(mixture.layers))
    ]


def group_experts(
    frequency: torch.Tensor,
    similarity: torch.Tensor,
    count: int,
    router_groups: int = 1,
    alone: torch.Tensor | None = None,
) -> Groups:
    """Return groups of a layer's experts, in the order of their dominant ones.

    :param frequency: (E,) tokens that used each expert.
    :param similarity: (E, E) of their router logits.
    :param count: groups to make.
    :param router_groups: groups of consecutive experts of the router, which stay apart.
    :param alone: (E,) experts that are dominant, and that others join only if they must.
    :raises InvalidArgument: there are more of these than groups.
    """
    size = len(frequency) // router_groups
    alone = torch.zeros(len(frequency), dtype=torch.bool) if alone is None else alone
    scores = _with_twins_last(frequency, similarity)
    dominant = best_experts(scores[None], count, router_groups, alone[None])[0].tolist()
    members: dict[int, list[int]] = {expert: [expert] for expert in dominant}
    for expert, similar in enumerate(similarity.tolist()[: len(frequency)]):
        if expert in members:
            continue
        near = [other for other in dominant if other // size == expert // size]
        open_ = [other for other in near if not alone[other]] or near
        members[max(open_, key=similar.__getitem__)].append(expert)
    return list(members.values())


def _with_twins_last(frequency: torch.Tensor, similarity: torch.Tensor) -> torch.Tensor:
    """Return scores (E,) in the order of frequency, but last those with the logits of another one.

    Routers cannot tell such experts apart. If both were dominant, their group would have two
    experts, and another group none.
    """
    scores = frequency.clone()
    first: list[int] = []
    for expert in frequency.argsort(descending=True, stable=True).tolist():
        if bool((similarity[expert, first] > _TWINS).any()):
            scores[expert] -= frequency.max() + 1
        else:
            first.append(expert)
    return scores


def _merge(layer: MixtureLayer, groups: Groups, frequency: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the weights of a layer's merged experts; groups of one are unchanged."""
    layout, before = NeuronLayout.of(layer.experts), layer.weights
    dominant = torch.tensor([first for first, *_ in groups])
    after = {name: tensor.detach()[dominant] for name, tensor in before.items()}
    for place, group in enumerate(groups):
        if len(group) == 1:
            continue
        shares = frequency[list(group)].double()
        shares = shares / shares.sum() if shares.any() else torch.full_like(shares, 1 / len(group))
        target = layout.read(before, group[0])
        total = target.double() * shares[0]  # in float64, the mean of equal numbers is that number
        for expert, share in zip(group[1:], shares[1:], strict=True):
            neurons = layout.read(before, expert)
            total += float(share) * neurons[alignment(target, neurons)].double()
        layout.write(after, place, total)
        if DOWN_BIAS in before:
            biases = before[DOWN_BIAS].detach()[list(group)].double()
            after[DOWN_BIAS][place] = (shares[:, None] * biases).sum(dim=0)
    return after


def _check(per_token: int, count: int, mixture: Mixture) -> int:
    """Return a number of experts per token.

    :raises InvalidArgument: there are fewer, or the family has a number of its own.
    """
    most = count + mixture.null_experts
    if mixture.model.config.model_type == "phimoe" and per_token != mixture.top_k:
        raise InvalidArgument(f"phimoe uses {mixture.top_k} experts per token, not {per_token}")
    if not 1 <= per_token <= most:
        raise InvalidArgument(f"experts per token must be from 1 to {most}; got {per_token}")
    return per_token
