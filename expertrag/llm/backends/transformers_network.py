"""The forward pass in transformers, for models that our engine does not run."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from transformers import DynamicCache

from expertrag.api.errors import Overloaded
from expertrag.llm.adapters.chosen_expert import ChosenExpert, ChosenUpdates
from expertrag.llm.adapters.low_rank import LowRankAdapters
from expertrag.llm.network import Limits, Network, Step
from expertrag.llm.scoring import ScoredText, read
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag.llm.watching import watch


class Cache(NamedTuple):
    """KV cache of a session, and the expert of all its tokens; -1 for none."""

    kept: DynamicCache
    expert: int


class TransformersNetwork(Network):
    """A transformers model."""

    def __init__(self, model: Any, limits: Limits, adapters: LowRankAdapters | None = None) -> None:
        """Run a model, whose experts are its router's, or belong to ``adapters``."""
        accepted = inspect.signature(model.forward).parameters
        self.model = model
        self.device = model.device
        self.limits = limits
        self.context_tokens = limits.context_tokens
        self.end_tokens = limits.end_tokens
        self._experts: ChosenExpert | ChosenUpdates | None = None
        if adapters:
            self._experts = ChosenUpdates(model, adapters)
        elif limits.experts:
            self._experts = ChosenExpert(model)
        self._has_router = "output_router_logits" in accepted
        # Renamed during transformers 5; newer versions warn about the old name.
        self._cache_argument = "cache" if "cache" in accepted else "past_key_values"
        self._keeps_logits = "logits_to_keep" in accepted

    @property
    def limit(self) -> str:
        """See :attr:`Network.limit`."""
        return f"the model's context of {self.context_tokens} tokens"

    def counters(self) -> Mapping[str, int]:
        """See :meth:`Network.counters`."""
        return {}

    def new_cache(self, policy: SequencePolicy | None = None) -> Cache:
        """See :meth:`Network.new_cache`."""
        expert = (policy or self.make_policy()).expert
        return Cache(DynamicCache(config=self.model.config), expert)

    def free(self, cache: Cache) -> None:
        """See :meth:`Network.free`; torch frees tensors without references."""
        cache.kept.layers.clear()

    @torch.inference_mode()
    def forward(self, tokens: Sequence[int], cache: Cache, *, watched: bool = False) -> Step:
        """See :meth:`Network.forward`."""
        ids = torch.tensor([tokens], device=self.device)  # [1, T]
        options: dict[str, Any] = {self._cache_argument: cache.kept}
        if self._keeps_logits:  # only of the last token: logits of 512 would take 100 MB
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
        self,
        items: Sequence[tuple[Sequence[int], Sequence[int]]],
        policy: SequencePolicy | None = None,
    ) -> Iterator[tuple[int, ScoredText]]:
        """See :meth:`Network.read`; shortest first."""
        policy = policy or self.make_policy()
        assert policy.adapter is None, "transformers runs none"
        with self._only(policy.expert):
            yield from read(self.model, items, keeps_logits=self._keeps_logits)

    def _only(self, expert: int) -> AbstractContextManager[None]:
        return self._experts.only(expert) if self._experts else nullcontext()
