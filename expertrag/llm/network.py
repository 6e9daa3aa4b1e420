"""The forward pass: token ids in, logits of the next token out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from expertrag.llm.base import SHARED, current_names
from expertrag.llm.scoring import ScoredText
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag.llm.watching import Watched
from expertrag.llm.weights import WeightUse
from expertrag_kernels.routing import AS_THE_MODEL, Routing

if TYPE_CHECKING:
    from expertrag.llm.adapters.loaded import LoadedAdapter

_UNLIMITED = 10**9  # tokenizers without a limit claim 10^30 tokens


@dataclass(frozen=True, slots=True)
class Step:
    """Result of a forward pass: logits (V,), and routing and hidden states if requested."""

    logits: torch.Tensor
    watched: Watched | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """A model's context length, its end tokens, and values that ``config.json`` adds."""

    context_tokens: int
    end_tokens: frozenset[int]
    experts: tuple[str, ...] = ()
    """Names of the experts of a mixture that has one expert per sequence; else empty."""
    reader_prompts: str = ""
    """Fingerprint of the prompts that a reader was trained with; else empty."""
    parameters: int = 0
    """Number of weights, all experts included; tied ones count once."""

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
        experts = current_names(getattr(config, "expert_names", None) or ())
        prompts = str(getattr(config, "reader_prompts", None) or "")
        context_tokens = int(min(limits, default=_UNLIMITED))
        parameters = sum(item.numel() for item in model.parameters())
        return cls(context_tokens, frozenset(_flat(ends)), experts, prompts, parameters)

    def expert_of(self, domain: str | None) -> int:
        """Return a domain's expert: its own or the shared one; -1 to follow the routers."""
        if not self.experts:
            return -1
        known = [self.experts.index(name) for name in (domain, SHARED) if name in self.experts]
        return known[0] if known else 0


class Network(Protocol):
    """A model as sessions use it. It holds no state of a session."""

    device: torch.device
    limits: Limits
    context_tokens: int
    end_tokens: frozenset[int]

    @property
    def limit(self) -> str:
        """What limits a sequence to ``context_tokens``, for error messages."""
        ...

    @property
    def problem(self) -> str:
        """Why it computes nothing any more; empty if it does."""
        return ""

    def counters(self) -> Mapping[str, int]:
        """Return counters since the start, by name; empty if nothing is counted."""
        ...

    def weights(self) -> WeightUse | None:
        """Return what a token uses of the weights; None if our engine does not run the model."""
        return None

    def reset_prefix_cache(self) -> None:
        """Forget cached prefixes; see :meth:`Generator.reset_prefix_cache`."""
        return

    def make_policy(
        self,
        domain: str | None = None,
        *,
        routing: Routing = AS_THE_MODEL,
        adapter: LoadedAdapter | None = None,
        salt: str = "",
    ) -> SequencePolicy:
        """Return the policy of the sequences that a domain's expert computes."""
        expert = self.limits.expert_of(domain)
        return SequencePolicy(expert, routing, adapter=adapter, salt=salt)

    def new_cache(self, policy: SequencePolicy | None = None) -> Any:
        """Return an empty KV cache for one session; the default policy has no domain."""
        ...

    def free(self, cache: Any) -> None:
        """Free the memory of a cache."""
        ...

    def forward(self, tokens: Sequence[int], cache: Any, *, watched: bool = False) -> Step:
        """Append ``tokens`` to the sequence in ``cache`` and predict the next one.

        :raises Overloaded: out of memory.
        """
        ...

    def read(
        self,
        items: Sequence[tuple[Sequence[int], Sequence[int]]],
        policy: SequencePolicy | None = None,
    ) -> Iterator[tuple[int, ScoredText]]:
        """Score continuations of prompts, both as token ids; yields (index, reading).

        :param policy: of all of them; None for the policy of no domain.
        """
        ...


def _flat(ids: Sequence[int | list[int] | None]) -> list[int]:
    lists = [[item] if isinstance(item, int) else item or [] for item in ids]
    return [token for some in lists for token in some]
