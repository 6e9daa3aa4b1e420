"""The forward pass: token ids in, logits of the next token out."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from transformers import DynamicCache

from expertrag.errors import Overloaded
from expertrag.generation.chosen_expert import ChosenExpert
from expertrag.generation.reading import Reading, read
from expertrag.generation.watching import Watched, watch
from expertrag_retriever.experts.settings import GENERAL

_UNLIMITED = 10**9  # tokenizers without a limit claim 10^30 tokens


@dataclass(frozen=True, slots=True)
class Step:
    """Result of a forward pass: logits (V,), and what else was seen where that was asked for."""

    logits: torch.Tensor
    watched: Watched | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a model's texts may be, which tokens end them, and what ``config.json`` adds."""

    context_tokens: int
    end_tokens: frozenset[int]
    experts: tuple[str, ...] = ()
    """Names of those of a mixture that is routed by text; else none."""
    reader_prompts: str = ""
    """Of a reader, the fingerprint of the prompts that it was trained with; else empty."""
    parameters: int = 0
    """Of all weights, those of every expert among them; tied ones count once."""

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
        experts = tuple(getattr(config, "expert_names", None) or ())
        prompts = str(getattr(config, "reader_prompts", None) or "")
        context_tokens = int(min(limits, default=_UNLIMITED))
        parameters = sum(item.numel() for item in model.parameters())
        return cls(context_tokens, frozenset(_flat(ends)), experts, prompts, parameters)

    def expert_of(self, domain: str | None) -> int:
        """Return the expert of a domain's texts: its own or the general one; -1: by the routers."""
        if not self.experts:
            return -1
        known = [self.experts.index(name) for name in (domain, GENERAL) if name in self.experts]
        return known[0] if known else 0


class Cache(NamedTuple):
    """Keys and values of a session, and the expert that all its tokens have; -1 for none."""

    kept: DynamicCache
    expert: int


class Network(Protocol):
    """A model with what sessions need to know of it. It holds no session's state."""

    device: torch.device
    limits: Limits
    context_tokens: int
    end_tokens: frozenset[int]

    @property
    def limit(self) -> str:
        """What limits a text to ``context_tokens``, for a message."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Return what was done since the start, by name; nothing if it is not counted."""
        ...

    def new_cache(self, domain: str | None = None) -> Any:
        """Return an empty cache of keys and values for one session, of a domain's expert."""
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
        self, items: Sequence[tuple[Sequence[int], Sequence[int]]], domain: str | None = None
    ) -> Iterator[tuple[int, Reading]]:
        """Read continuations after prompts, both as token ids, by a domain's expert.

        Yields (place, reading).
        """
        ...


class TransformersNetwork(Network):
    """A transformers model."""

    def __init__(self, model: Any, limits: Limits) -> None:
        accepted = inspect.signature(model.forward).parameters
        self.model = model
        self.device = model.device
        self.limits = limits
        self.context_tokens = limits.context_tokens
        self.end_tokens = limits.end_tokens
        self._experts = ChosenExpert(model) if limits.experts else None
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

    def new_cache(self, domain: str | None = None) -> Cache:
        """See :meth:`Network.new_cache`."""
        return Cache(DynamicCache(config=self.model.config), self.limits.expert_of(domain))

    def free(self, cache: Cache) -> None:
        """See :meth:`Network.free`; torch takes the memory of what nobody holds."""
        cache.kept.layers.clear()

    @torch.inference_mode()
    def forward(self, tokens: Sequence[int], cache: Cache, *, watched: bool = False) -> Step:
        """See :meth:`Network.forward`."""
        ids = torch.tensor([tokens], device=self.device)  # [1, T]
        options: dict[str, Any] = {self._cache_argument: cache.kept}
        if self._keeps_logits:  # of the last token only: of 512 they would be 100 MB
            options["logits_to_keep"] = 1
        if watched:
            options["output_hidden_states"] = True
            if self._has_router:
                options["output_router_logits"] = True
        try:
            with self._only(cache.expert):
                output = self.model(input_ids=ids, use_cache=True, **options)
        except torch.OutOfMemoryError as error:
            raise Overloaded(
                "out of accelerator memory; ask again later or shorten the prompt"
            ) from error
        return Step(output.logits[0, -1], watch(output) if watched else None)

    def read(
        self, items: Sequence[tuple[Sequence[int], Sequence[int]]], domain: str | None = None
    ) -> Iterator[tuple[int, Reading]]:
        """See :meth:`Network.read`; short ones come first."""
        with self._only(self.limits.expert_of(domain)):
            yield from read(self.model, items, keeps_logits=self._keeps_logits)

    def _only(self, expert: int) -> AbstractContextManager[None]:
        return self._experts.only(expert) if self._experts else nullcontext()


def _flat(ids: Sequence[int | list[int] | None]) -> list[int]:
    lists = [[item] if isinstance(item, int) else item or [] for item in ids]
    return [token for some in lists for token in some]
