"""The forward pass: token ids in, logits of the next token out."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import DynamicCache

from expertrag.errors import Overloaded
from expertrag.generation.reading import Reading, read
from expertrag.generation.watching import Watched, watch

_UNLIMITED = 10**9  # tokenizers without a limit claim 10^30 tokens


@dataclass(frozen=True, slots=True)
class Step:
    """Result of a forward pass: logits (V,), and what else was seen where that was asked for."""

    logits: torch.Tensor
    watched: Watched | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a model's texts may be, and which tokens end them."""

    context_tokens: int
    end_tokens: frozenset[int]

    @classmethod
    def of(cls, model: Any, tokenizer: Any) -> Limits:
        """Read the limits of a loaded model."""
        config = model.config.get_text_config()
        limits = [
            limit
            for limit in (
                getattr(config, "max_position_embeddings", None),
                tokenizer.model_max_length,
            )
            if limit is not None and limit < _UNLIMITED
        ]
        ends = model.generation_config.eos_token_id, tokenizer.eos_token_id
        return cls(int(min(limits, default=_UNLIMITED)), frozenset(_flat(ends)))


class Network(Protocol):
    """A model with what sessions need to know of it. It holds no session's state."""

    device: torch.device
    context_tokens: int
    end_tokens: frozenset[int]

    @property
    def limit(self) -> str:
        """What limits a text to ``context_tokens``, for a message."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Return what was done since the start, by name; nothing if it is not counted."""
        ...

    def new_cache(self) -> Any:
        """Return an empty cache of keys and values for one session."""
        ...

    def free(self, cache: Any) -> None:
        """Give a cache's memory back."""
        ...

    def forward(self, tokens: Sequence[int], cache: Any, *, watched: bool = False) -> Step:
        """Append ``tokens`` to what ``cache`` holds and predict the next one.

        :raises Overloaded: if the memory is full.
        """
        ...

    def read(
        self, items: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> Iterator[tuple[int, Reading]]:
        """Read continuations after prompts, both as token ids; yields (place, reading)."""
        ...


class TransformersNetwork(Network):
    """A transformers model."""

    def __init__(self, model: Any, limits: Limits) -> None:
        accepted = inspect.signature(model.forward).parameters
        self.model = model
        self.device = model.device
        self.context_tokens = limits.context_tokens
        self.end_tokens = limits.end_tokens
        self._has_router = "output_router_logits" in accepted
        # Renamed in the course of transformers 5; the old name warns with the new versions.
        self._cache_argument = "cache" if "cache" in accepted else "past_key_values"
        self._keeps_logits = "logits_to_keep" in accepted

    @property
    def limit(self) -> str:
        """See :attr:`Network.limit`."""
        return f"the model's {self.context_tokens}"

    def counters(self) -> Mapping[str, int]:
        """See :meth:`Network.counters`."""
        return {}

    def new_cache(self) -> DynamicCache:
        """Return an empty cache of keys and values for one session."""
        return DynamicCache(config=self.model.config)

    def free(self, cache: DynamicCache) -> None:
        """See :meth:`Network.free`; torch takes the memory of what nobody holds."""
        cache.layers.clear()

    @torch.inference_mode()
    def forward(self, tokens: Sequence[int], cache: DynamicCache, *, watched: bool = False) -> Step:
        """See :meth:`Network.forward`."""
        ids = torch.tensor([tokens], device=self.device)  # [1, T]
        options: dict[str, Any] = {self._cache_argument: cache}
        if self._keeps_logits:  # of the last token only: of 512 they would be 100 MB
            options["logits_to_keep"] = 1
        if watched:
            options["output_hidden_states"] = True
            if self._has_router:
                options["output_router_logits"] = True
        try:
            output = self.model(input_ids=ids, use_cache=True, **options)
        except torch.OutOfMemoryError as error:
            raise Overloaded(
                "out of accelerator memory; ask again later or shorten the prompt"
            ) from error
        return Step(output.logits[0, -1], watch(output) if watched else None)

    def read(
        self, items: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> Iterator[tuple[int, Reading]]:
        """See :meth:`Network.read`; short ones come first."""
        return read(self.model, items, keeps_logits=self._keeps_logits)


def _flat(ids: Sequence[int | list[int] | None]) -> list[int]:
    lists = [[item] if isinstance(item, int) else item or [] for item in ids]
    return [token for some in lists for token in some]
