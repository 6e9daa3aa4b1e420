"""The section ``lab``: settings of research, which no service needs."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag.api.contrast import Contrast, WeakSide
from expertrag.api.validation import MAX_BETA
from expertrag.config.setting import option, validate

TOGETHER = "together"
CANONICAL = "canonical"

_CONTRAST = Contrast(WeakSide.ROUTING)


@dataclass(frozen=True, slots=True)
class LabConfig:
    """Settings of research on language models. No service needs them."""

    passages: str = option(
        "auto",
        "How the language model reads passages. together: all in one prompt. auto, if there is a "
        "probe or a reader and a short answer is asked for: the best passage, then three, then "
        "all, until it is hardly in doubt that they hold the answer; otherwise together.",
        choices=("auto", TOGETHER),
    )
    wording: str = option(
        "as_asked",
        "How a question is read. as_asked: as it was written. canonical: without openings such as "
        "'Could you tell me', in one spelling of quotes, spaces and question mark, so that these "
        "do not change the answer; the decision shows the question as it was read.",
        choices=("as_asked", CANONICAL),
    )
    routing: str = option(
        "",
        "How many experts a token uses, of a mixture whose routers choose them by token. It is "
        "model for as many as the model does, top_k:K, top_p:P or threshold:T, or null:N for N of "
        "its null experts. Several of these are separated by commas. A request may choose for "
        "itself.",
    )
    expert_patterns: str = option(
        "",
        "Answer the questions of a domain with the experts that matter most to it, of a mixture "
        "whose routers choose experts by token: a profile from `expertrag llm profile`, of the "
        "model or of the checkpoint that it was packed from. Unset: with all experts.",
    )
    expert_share: float = option(
        0.5,
        "With expert_patterns: share of each layer's experts that a domain's pattern has.",
        minimum=0.001,
        maximum=1.0,
    )
    weights_mib: int = option(
        0,
        "Maximum memory of a packed mixture's weights in MiB: the experts that are used most stay "
        "in memory, others are read from the file when needed, which is slower. 0: no limit.",
        minimum=0,
    )
    contrast: str = option(
        "",
        "Contrastive decoding of the answers to `ask` and `chat`: draw tokens from (1 + beta) "
        "logits - beta logits of a weak side. The weak side is the model with fewer experts a "
        "token (routing), without the passages (no_passages), or without its domain experts "
        "(base). Unset: none.",
        choices=("", *WeakSide),
    )
    beta: float = option(
        _CONTRAST.beta, "With contrast: its strength.", minimum=0.0, maximum=MAX_BETA
    )
    weak_routing: str = option(
        _CONTRAST.routing, 'With contrast = "routing": routing of the weak side, as of routing.'
    )

    def __post_init__(self) -> None:
        validate(self, "lab")
