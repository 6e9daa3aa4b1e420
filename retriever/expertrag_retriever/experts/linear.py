"""A frozen linear layer of the base model together with its embedding experts.

N texts, L tokens, E experts, R rank, I in, O out
"""

from __future__ import annotations

import math

import torch
from torch import nn

from expertrag_kernels import CopiedExperts, LowRankExperts, apply_copies, apply_low_rank
from expertrag_retriever.experts.routing import current
from expertrag_retriever.experts.settings import ExpertForm, ExpertSettings


class ExpertLinear(nn.Module):
    """Replaces ``base``; outside a routed pass it computes the same as ``base``.

    ``first`` and ``second`` are the experts' parameters. Low rank: down (E, R, I) and up (E, O, R);
    full: weight (E, O, I) and bias (E, O). They are initialised so that every expert equals the
    base.
    """

    def __init__(self, base: nn.Linear, settings: ExpertSettings) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.form = settings.form
        experts = len(settings.domains)
        if self.form is ExpertForm.LOW_RANK:
            first = torch.randn(experts, settings.rank, base.in_features)
            first /= math.sqrt(base.in_features)
            second = torch.zeros(experts, base.out_features, settings.rank)
        else:
            first = base.weight.detach().float().repeat(experts, 1, 1)
            bias = base.bias if base.bias is not None else base.weight.new_zeros(base.out_features)
            second = bias.detach().float().repeat(experts, 1)
        self.first = nn.Parameter(first)
        self.second = nn.Parameter(second)

    def float_experts(self) -> None:
        """Convert the experts to float32, whatever the base uses: bfloat16 loses small updates."""
        self.first.data = self.first.data.float()
        self.second.data = self.second.data.float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the base layer and the experts of the current pass: (N, L, I) to (N, L, O)."""
        output: torch.Tensor = self.base(x)
        routing = current()
        if routing is None or routing.index is None or routing.weights is None:
            return output
        if self.form is ExpertForm.LOW_RANK:
            experts = LowRankExperts(self.first, self.second)
            return apply_low_rank(output, x, routing.index, routing.weights, experts)
        copies = CopiedExperts(self.first, self.second)
        return apply_copies(output, x, routing.index, routing.weights, copies)
