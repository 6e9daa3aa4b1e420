"""Routing policies: how many of the experts that a router chose a token uses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from expertrag_kernels.steps import SequenceRows

MODEL_ROUTING = "model"
"""Spelling of the policy that uses all experts that the router chose."""


@dataclass(frozen=True, slots=True)
class Routing:
    """A routing policy: which of the chosen experts a token uses, most likely first.

    Probabilities are the router's, over all experts; of routers that have none (sigmoids,
    SparseMixer), the shares of the weights among the chosen experts. The most likely expert is
    always used. If the model renormalises the weights of the chosen experts, it does so for those
    that are used.

    top_k: use at most this many; 0 for as many as the model does
    top_p: use the fewest whose probabilities sum to this, up to as many as the model does
        (Huang et al. 2024, "Harder Tasks Need More Experts"); 1 for all
    threshold: use no expert that is less likely
    null: of the model's null experts, only so many can be chosen, the first ones; None for all
        (AdaMoE, Zeng et al. 2024). The other policies count a null expert like any other.
    """

    top_k: int = 0
    top_p: float = 1.0
    threshold: float = 0.0
    null: int | None = None

    @classmethod
    def parse(cls, text: str) -> Routing:
        """Read a policy: "model", or some of "top_k:K", "top_p:P", "threshold:T", "null:N".

        Several are separated by commas, and all of them hold.

        :raises ValueError: the text is not a policy.
        """
        if text in ("", MODEL_ROUTING):
            return cls()
        parts = [part.strip().partition(":") for part in text.split(",")]
        values = {name: value for name, _, value in parts}
        if len(values) < len(parts) or not values.keys() <= _READ.keys():
            raise ValueError(_explain(text))
        try:
            read: dict[str, Any] = {name: _READ[name](value) for name, value in values.items()}
            return cls(**read)
        except ValueError as error:
            raise ValueError(_explain(text)) from error

    def __str__(self) -> str:
        """Return the text that :meth:`parse` reads."""
        told: Mapping[str, float | None] = {
            "top_k": self.top_k,
            "top_p": self.top_p,
            "threshold": self.threshold,
            "null": self.null,
        }
        default = Routing()
        parts = [
            f"{name}:{value:g}" for name, value in told.items() if value != getattr(default, name)
        ]
        return ",".join(parts) or MODEL_ROUTING


AS_THE_MODEL = Routing()
"""The policy of a sequence that has none."""


def routing_rows(texts: Sequence[SequenceRows]) -> torch.Tensor | None:
    """Return the limits of each row (T, 4) float32, in the order of :class:`Routing`.

    None if every sequence routes as the model does.
    """
    import torch  # not needed to read a policy

    if all(text.routing == AS_THE_MODEL for text in texts):
        return None
    limits = [
        [
            text.routing.top_k or math.inf,
            text.routing.top_p if text.routing.top_p < 1 else math.inf,
            text.routing.threshold,
            math.inf if text.routing.null is None else text.routing.null,
        ]
        for text in texts
        for _ in range(text.start, text.stop)
    ]
    return torch.tensor(limits, dtype=torch.float32)


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def _nulls(text: str) -> int:
    if (value := int(text)) < 0:
        raise ValueError(text)
    return value


def _share(text: str) -> float:
    if not 0 < (value := float(text)) <= 1:
        raise ValueError(text)
    return value


_READ = {"top_k": _count, "top_p": _share, "threshold": _share, "null": _nulls}


def _explain(text: str) -> str:
    return (
        f"routing must be {MODEL_ROUTING}, top_k:K (K from 1), top_p:P or threshold:T (above 0, up "
        f"to 1), null:N (N from 0), or several of these separated by commas; got {text!r}"
    )
