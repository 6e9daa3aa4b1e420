"""The request for contrastive decoding: what a model says more of than a weak side of it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class WeakSide(StrEnum):
    """What the model is compared with, token by token.

    ROUTING: itself with fewer experts a token (self-contrast; Shi et al. 2024, "Unchosen Experts
    Can Contribute Too"). NO_PASSAGES: itself without the passages (context-aware decoding; Shi et
    al. 2023, "Trusting Your Evidence"); a closed-book answer has none, and is not changed. BASE:
    the base model of its domain experts.
    """

    ROUTING = "routing"
    NO_PASSAGES = "no_passages"
    BASE = "base"


@dataclass(frozen=True, slots=True)
class Contrast:
    """Generate by (1 + beta) logits - beta logits of the weak side.

    Only tokens at least ``plausibility`` times as likely as the likeliest may follow, as the strong
    side sees it. Log probabilities are of the strong side alone.

    ``routing``: the weak side's routing policy, for ``WeakSide.ROUTING``.
    """

    weak: WeakSide
    beta: float = 0.5
    plausibility: float = 0.1
    routing: str = "top_k:1"
