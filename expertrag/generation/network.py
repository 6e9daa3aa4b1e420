"""The forward pass: token ids in, logits of the next token out."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from expertrag.errors import Overloaded
from expertrag.generation.watching import Watched, watch

_UNLIMITED = 10**9  # tokenizers without a limit claim 10^30 tokens


@dataclass(frozen=True, slots=True)
class Step:
    """Result of a forward pass: logits (V,), and what else was seen where that was asked for."""

    logits: torch.Tensor
    watched: Watched | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A transformers model with what sessions need to know of it. It holds no session's state."""

    model: Any
    device: torch.device
    context_tokens: int
    end_tokens: frozenset[int]
    has_router: bool
    cache_argument: str
    options: dict[str, Any]

    @classmethod
    def of(cls, model: Any, tokenizer: Any) -> Network:
        """Read the limits and abilities of a loaded model."""
        config = model.config.get_text_config()
        accepted = inspect.signature(model.forward).parameters
        limits = [
            limit
            for limit in (
                getattr(config, "max_position_embeddings", None),
                tokenizer.model_max_length,
            )
            if limit is not None and limit < _UNLIMITED
        ]
        ends = model.generation_config.eos_token_id, tokenizer.eos_token_id
        return cls(
            model=model,
            device=model.device,
            context_tokens=int(min(limits, default=_UNLIMITED)),
            end_tokens=frozenset(_flat(ends)),
            has_router="output_router_logits" in accepted,
            # Renamed in the course of transformers 5; the old name warns with the new versions.
            cache_argument="cache" if "cache" in accepted else "past_key_values",
            # Logits of the last token only: of 512 they would be 100 MB at a vocabulary of 49k.
            options={"logits_to_keep": 1} if "logits_to_keep" in accepted else {},
        )

    def new_cache(self) -> DynamicCache:
        """Return an empty cache of keys and values for one session."""
        return DynamicCache(config=self.model.config)

    @torch.inference_mode()
    def forward(self, tokens: Sequence[int], cache: DynamicCache, *, watched: bool = False) -> Step:
        """Append ``tokens`` to what ``cache`` holds and predict the next one.

        :raises Overloaded: if the accelerator's memory is full.
        """
        ids = torch.tensor([tokens], device=self.device)  # [1, T]
        options = {**self.options, self.cache_argument: cache}
        if watched:
            options["output_hidden_states"] = True
            if self.has_router:
                options["output_router_logits"] = True
        try:
            output = self.model(input_ids=ids, use_cache=True, **options)
        except torch.OutOfMemoryError as error:
            raise Overloaded(
                "out of accelerator memory; ask again later or shorten the prompt"
            ) from error
        return Step(output.logits[0, -1], watch(output) if watched else None)


def _flat(ids: Sequence[int | list[int] | None]) -> list[int]:
    lists = [[item] if isinstance(item, int) else item or [] for item in ids]
    return [token for some in lists for token in some]
