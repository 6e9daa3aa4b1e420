"""Posterior over domains, from the hidden states of the frozen base model halfway up.

A text is represented by the mean of its hidden states at the first layer with experts. Layer 3 of 6
of MiniLM separates domains better than the final embedding: accuracy .953 against .910 on held-out
texts of six domains. Routing there costs nothing: the same forward pass continues through the
chosen experts.

Mixture discriminant analysis (Hastie & Tibshirani 1996): texts are whitened by the covariance that
all domains share, and a few prototypes represent each domain. The squared distance to the nearest
prototypes is a log likelihood. The same distance detects texts of no domain (Lee et al. 2018). The
means are normalised to unit length first, because their length depends on how long a text is, not
on its subject. Without it, texts of no domain are harder to detect. The area under the ROC curve,
mean of six left-out domains on train texts, is .873 instead of .897.

    N texts, H hidden, W whitened, P prototypes, D domains
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import torch

from expertrag_retriever.router.evidence import DomainEvidence

UNLIKELY = 1e-9


@dataclass(frozen=True, slots=True)
class DomainRouter:
    """A trained router; all tensors are float32.

    ``center``: (H,) and ``whitener``: (H, W), so that the covariance within prototypes is 1.
    ``prototypes``: (P, W), ``log_share``: (P,) log of the share of its domain's texts that each
    holds, ``owner``: (P,) int64, the domain of each.
    ``temperature``: divisor of the squared distances (calibration, Guo et al. 2017).
    ``reach`` and ``slope``: a text whose nearest prototype is at distance d is of no domain with
    probability sigmoid(slope · (d - reach)).
    ``evidence``: words that explain a choice; they do not influence it.
    """

    domains: tuple[str, ...]
    center: torch.Tensor
    whitener: torch.Tensor
    prototypes: torch.Tensor
    log_share: torch.Tensor
    owner: torch.Tensor
    temperature: float
    reach: float
    slope: float
    evidence: DomainEvidence = field(default_factory=DomainEvidence)

    def posterior(
        self, pooled: torch.Tensor, allowed: Collection[str] | None = None
    ) -> torch.Tensor:
        """Probability of each domain, and of none of them in the last column.

        :param pooled: mean hidden states, (N, H), of any float type and device.
        :param allowed: domains that may be chosen, as if there were no others; unknown names are
            ignored. None allows all, an empty collection none.
        :return: (N, D + 1) float32 on the device of ``pooled``; rows sum to 1.
        """
        distance = self.distances(pooled)  # [N, P]
        refused = self._find_refused(allowed)  # [D]
        if refused.all():
            rows = distance.new_zeros(len(distance), len(self.domains) + 1)
            rows[:, -1] = 1.0
            return rows.to(pooled.device)
        likelihood = self.log_share - distance.square() / (2 * self.temperature)  # [N, P]
        scores = torch.stack(
            [likelihood[:, self.owner == d].logsumexp(dim=1) for d in range(len(self.domains))],
            dim=1,
        )  # [N, D]
        known = scores.masked_fill(refused, float("-inf")).softmax(dim=1)
        nearest = distance[:, ~refused[self.owner]].amin(dim=1, keepdim=True)  # [N, 1]
        none = torch.sigmoid(self.slope * (nearest - self.reach))
        return torch.cat([known * (1 - none), none], dim=1).to(pooled.device)

    def distances(self, pooled: torch.Tensor) -> torch.Tensor:
        """Distance of texts (N, H) to the prototypes, (N, P), per whitened dimension."""
        states = pooled.to(self.center.device, torch.float32)
        unit = torch.nn.functional.normalize(states, dim=1)
        whitened = (unit - self.center) @ self.whitener  # [N, W]
        # by differences: by products, which torch takes for many texts, small distances lose digits
        mode = "donot_use_mm_for_euclid_dist"
        far = torch.cdist(whitened, self.prototypes, compute_mode=mode)
        distances: torch.Tensor = far / self.whitener.shape[1] ** 0.5
        return distances

    def _find_refused(self, allowed: Collection[str] | None) -> torch.Tensor:
        refused = [allowed is not None and name not in allowed for name in self.domains]
        return torch.tensor(refused, device=self.center.device)


def of_experts(posterior: torch.Tensor, experts: int) -> torch.Tensor:
    """Add the probabilities of domains without an expert to "no domain": (N, experts + 1).

    :param posterior: (N, D + 1) as :meth:`DomainRouter.posterior` returns it; the domains with
        an expert come first.
    """
    none = posterior[:, experts:].sum(dim=1, keepdim=True)
    return torch.cat([posterior[:, :experts], none], dim=1)


def no_domain(texts: int, experts: int) -> torch.Tensor:
    """Return posteriors (N, experts + 1) of texts that belong to none of the domains."""
    rows = torch.zeros(texts, experts + 1)
    rows[:, -1] = 1.0
    return rows


@dataclass(frozen=True, slots=True)
class DomainChoice:
    """Experts of N texts: ``index`` (N, 2), D and above for the base model; ``weights`` (N, 2)."""

    index: torch.Tensor
    weights: torch.Tensor


def choose(posterior: torch.Tensor, top_p: float = 0.8) -> DomainChoice:
    """Choose one or two experts for each text.

    The most likely expert serves alone if its posterior reaches ``top_p`` or if it is the base
    model (none of the domains). Otherwise the second most likely joins it, weighted by posterior
    (top-p routing, Huang et al. 2024, with at most two).

    :param posterior: (N, D + 1) as :meth:`DomainRouter.posterior` returns it.
    """
    none = posterior.shape[1] - 1
    best, index = posterior.topk(2, dim=1)  # [N, 2]
    alone = (best[:, 0] >= top_p) | (index[:, 0] == none)
    second = torch.where(alone, best.new_zeros(()), best[:, 1])
    index = torch.stack([index[:, 0], torch.where(alone, none, index[:, 1])], dim=1)
    weights = torch.stack([best[:, 0], second], dim=1)
    return DomainChoice(index, weights / weights.sum(dim=1, keepdim=True).clamp(min=UNLIKELY))
