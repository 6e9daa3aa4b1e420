"""Contrastive decoding: subtract the logits of a model's weaker side from its own.

The sides are in :class:`expertrag.api.contrast.WeakSide`.
"""

from __future__ import annotations

import math

import torch

from expertrag.api.contrast import Contrast


def apply_contrast(strong: torch.Tensor, weak: torch.Tensor, contrast: Contrast) -> torch.Tensor:
    """Return (1 + beta) strong - beta weak, for tokens that the strong side holds plausible.

    Tokens less likely than ``plausibility`` times the likeliest one get -inf (Li et al. 2023).

    :param strong: (V,), and so ``weak``: logits of the same position.
    """
    strong, weak = strong.float(), weak.float()
    least = strong.max() + math.log(contrast.plausibility)
    contrasted = strong + contrast.beta * (strong - weak)
    return contrasted.masked_fill_(strong < least, -torch.inf)
