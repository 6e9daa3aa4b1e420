"""How much each expert of a mixture matters to each domain: what was observed, and its scores.

L layers with routed experts, E experts
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

import torch

from expertrag.api.errors import InvalidArgument

_SUPER_QUANTILE = 0.995
_SUPER_SHARE = 0.1
_SUPER_TIMES = 10.0
"""Su et al. 2025: an output above the quantile of all experts, and a tenth of the largest. The last
is ours: times the usual output."""


class Method(StrEnum):
    """A measure of an expert's importance; see :meth:`ExpertProfile.importance`."""

    EASY_EP = "easy-ep"
    PREMOE = "premoe"
    REAP = "reap"
    FREQUENCY = "frequency"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class ExpertUse:
    """How the tokens of one domain used the experts; float64, sums over tokens but ``peak``.

    :param tokens: () tokens that were seen.
    :param selected: (L, E) tokens that used the expert.
    :param weight: (L, E) weights that the router gave it.
    :param probability: (L, E) its probabilities, or scores of sigmoid routers, chosen or not.
    :param weighted_norm: (L, E) weight times the norm of its output.
    :param output_aware: (L, E) the same times one minus the cosine between the residual stream
        before and after the layer's experts (EASY-EP, Dong et al. 2025).
    :param selection: (L, E) expected selection scores (TCESS of PreMoe, 2025): softmax over the
        chosen logits, where it is above a threshold.
    :param peak: (L, E) largest absolute value of its output.
    :param logits: (L, E) router logits.
    :param products: (L, E, E) products of the router logits of two experts.
    """

    tokens: torch.Tensor
    selected: torch.Tensor
    weight: torch.Tensor
    probability: torch.Tensor
    weighted_norm: torch.Tensor
    output_aware: torch.Tensor
    selection: torch.Tensor
    peak: torch.Tensor
    logits: torch.Tensor
    products: torch.Tensor

    @classmethod
    def none(cls, layers: int, experts: int) -> ExpertUse:
        """Return the use by no token."""
        shapes = {"tokens": (), "products": (layers, experts, experts)}
        return cls(
            **{
                field.name: torch.zeros(
                    shapes.get(field.name, (layers, experts)), dtype=torch.float64
                )
                for field in fields(cls)
            }
        )

    def __add__(self, other: ExpertUse) -> ExpertUse:
        """Return the use by the tokens of both."""
        both = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in fields(ExpertUse)
        }
        return ExpertUse(**{**both, "peak": torch.maximum(self.peak, other.peak)})


@dataclass(frozen=True, slots=True)
class ExpertProfile:
    """The use of a mixture's experts by each domain of a team's traffic.

    :param model: fingerprint of the mixture's files.
    :param numbers: of the decoder layers, from 0.
    """

    model: str
    numbers: Sequence[int]
    domains: Mapping[str, ExpertUse]

    def use(self, domains: Collection[str] = ()) -> ExpertUse:
        """Return the use by some domains, each with the same weight, or by all.

        :raises InvalidArgument: a domain is not in the profile.
        """
        if unknown := sorted(set(domains) - set(self.domains)):
            raise InvalidArgument(
                f"the profile has no domain {unknown[0]!r}: it has {', '.join(self.domains)}"
            )
        chosen = [self.domains[name] for name in domains or self.domains]
        most = max(float(use.tokens) for use in chosen)
        first, *rest = (_scale(use, most / max(float(use.tokens), 1.0)) for use in chosen)
        return sum(rest, first)

    def importance(
        self, method: Method, domains: Collection[str] = (), seed: int = 0
    ) -> torch.Tensor:
        """Return scores (L, E), the more important the higher.

        - ``easy-ep``: :attr:`ExpertUse.output_aware` per token (EASY-EP)
        - ``premoe``: :attr:`ExpertUse.selection` per token (PreMoe)
        - ``reap``: :attr:`ExpertUse.weighted_norm` per token that used the expert (REAP, Lasby et
          al. 2025)
        - ``frequency``: share of the tokens that used it
        - ``random``: numbers of a generator with ``seed``, for comparison
        """
        use = self.use(domains)
        tokens = use.tokens.clamp(min=1)
        if method is Method.RANDOM:
            generator = torch.Generator().manual_seed(seed)
            return torch.rand(use.selected.shape, dtype=torch.float64, generator=generator)
        if method is Method.REAP:
            return use.weighted_norm / use.selected.clamp(min=1e-9)
        of_tokens = {
            Method.EASY_EP: use.output_aware,
            Method.PREMOE: use.selection,
            Method.FREQUENCY: use.selected,
        }
        return of_tokens[method] / tokens

    def super_experts(self) -> torch.Tensor:
        """Return which experts (L, E) are super experts, over all domains (Su et al. 2025).

        Their outputs make the massive activations that attention sinks need, so they are rare.
        Their output is above the 99.5 % quantile of all experts, and above a tenth of the largest,
        in a layer that forms massive activations. The first two admit the largest output of any
        model, and a profile does not know the third. Instead, the output must be ten times the
        usual one, both in its layer and over all layers. The usual one is the median of the experts
        that were used.
        """
        peak = self.use().peak
        used = peak.where(peak > 0, math.nan)
        usual = torch.maximum(used.nanmedian(dim=1, keepdim=True).values, used.nanmedian())
        return (
            (peak > peak.quantile(_SUPER_QUANTILE))
            & (peak > _SUPER_SHARE * peak.max())
            & (peak > _SUPER_TIMES * usual)
        )

    def similarity(self) -> torch.Tensor:
        """Return correlations (L, E, E) of the experts' router logits, as M-SMoE groups them."""
        use = self.use()
        tokens = use.tokens.clamp(min=1)
        mean = use.logits / tokens
        covariance = use.products / tokens - mean[:, :, None] * mean[:, None, :]
        deviation = covariance.diagonal(dim1=1, dim2=2).clamp(min=1e-12).sqrt()
        return covariance / (deviation[:, :, None] * deviation[:, None, :])


def _scale(use: ExpertUse, factor: float) -> ExpertUse:
    scaled = {field.name: getattr(use, field.name) * factor for field in fields(ExpertUse)}
    return ExpertUse(**{**scaled, "peak": use.peak})
