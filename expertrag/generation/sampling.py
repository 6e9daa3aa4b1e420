"""Draw tokens, and tell how sure the model was about them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from expertrag.generation.certainty import Certainty


class Sampler:
    """Draws one token at a time; greedy at temperature 0. Each session has its own."""

    def __init__(self, temperature: float, seed: int, device: torch.device) -> None:
        self._temperature = temperature
        # Seeds are 64 bits for torch; ours come from anywhere, negative ones included.
        self._generator = torch.Generator(device).manual_seed(seed % 2**63)

    def draw(self, logits: torch.Tensor) -> int:
        """Return the id of the next token, given its logits (V,)."""
        if self._temperature <= 0:
            return int(logits.argmax())
        # Shifted before it is divided, so that no temperature, however small, overflows.
        scaled = (logits.float() - logits.max()) / self._temperature
        return int(torch.multinomial(scaled.softmax(-1), 1, generator=self._generator))


def certainty(logits: torch.Tensor) -> Certainty:
    """Tell how sure the model was, from the logits (V,) of a token."""
    first, second = logits.float().softmax(-1).topk(2).values.tolist()
    return Certainty(first - second, float(entropy(logits)), first)


def router_entropy(router_logits: Sequence[torch.Tensor], last_tokens: int) -> float | None:
    """Mean entropy in nats of the expert distribution, over layers and the last tokens.

    router_logits: for each layer (T, E); None without layers.
    """
    if not router_logits:
        return None
    per_layer = [entropy(logits[-last_tokens:]).mean() for logits in router_logits]
    return float(torch.stack(per_layer).mean())


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy in nats over the last dimension; where p is 0, so is p log p."""
    terms: torch.Tensor = torch.special.entr(logits.float().softmax(-1))
    return terms.sum(-1)
