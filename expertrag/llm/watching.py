"""What a prefill returns besides the next token: the routing of the prompt, and hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from expertrag.llm.sampling import entropy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from expertrag_index.types import FloatArray

ROUTER_TOKENS = 32
"""Last tokens of a prompt whose routing is used: they say most about what comes next."""


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """Routing and hidden states of a prompt; L layers with a router, E experts, D model width.

    ``router_entropy``: of the expert distribution over the last tokens, averaged over layers, in
    nats; None for a model without a router. ``vectors``, by name: ``router_entropies`` [L], the
    same by layer; ``router_pattern`` [L·E], the mean share of each expert; ``hidden_middle`` and
    ``hidden_upper`` [D], the last token's state after half and three quarters of the layers.
    """

    router_entropy: float | None = None
    vectors: Mapping[str, FloatArray] = field(default_factory=dict)


def watch(output: Any) -> Watched:
    """Read the output of a transformers forward pass over one prompt, or the end of one."""
    routers = getattr(output, "router_logits", None) or ()
    states = getattr(output, "hidden_states", None) or ()  # some models return none
    seen = [state[0, -1] for state in middle_and_upper(states)] if states else []
    return join_watched([logits[-ROUTER_TOKENS:] for logits in routers], seen)


def join_watched(last: Sequence[torch.Tensor], states: Sequence[torch.Tensor]) -> Watched:
    """Build from router logits, [T, E] per layer, and the last token's two states [D], if any."""
    names = ("hidden_middle", "hidden_upper") if states else ()
    vectors = {name: _array(state) for name, state in zip(names, states, strict=True)}
    if not last:
        return Watched(vectors=vectors)
    entropies = torch.stack([entropy(logits).mean() for logits in last])
    pattern = torch.cat([logits.float().softmax(-1).mean(0) for logits in last])
    vectors |= {"router_entropies": _array(entropies), "router_pattern": _array(pattern)}
    return Watched(float(entropies.mean()), vectors)


def middle_and_upper(states: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose the states after half and three quarters of the layers; item 0 is the embeddings."""
    return states[(len(states) - 1) // 2], states[(len(states) - 1) * 3 // 4]


def _array(values: torch.Tensor) -> FloatArray:
    array: FloatArray = values.float().cpu().numpy()
    return array
