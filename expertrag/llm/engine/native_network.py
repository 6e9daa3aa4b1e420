"""A model on our own engine: its forward passes are batched with other sessions' passes."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch

from expertrag.llm.adapters.loaded import LoadedAdapter, LoadedAdapters
from expertrag.llm.base import never_stop
from expertrag.llm.engine.engine import Engine
from expertrag.llm.engine.expert_memory import expert_counts
from expertrag.llm.engine.lowering import Lowered
from expertrag.llm.engine.sequences import PrefillOutput, SequenceState
from expertrag.llm.expert_pattern import ExpertPattern
from expertrag.llm.network import Limits, Network, Step
from expertrag.llm.scoring import ScoredText
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag.llm.watching import ROUTER_TOKENS, Watched, join_watched
from expertrag.llm.weights import Amount, WeightUse, weight_use
from expertrag_common.cores import available_cores
from expertrag_kernels import Format
from expertrag_kernels.router import Router
from expertrag_kernels.routing import AS_THE_MODEL, Routing

_MOST_OPEN = 16  # sequences that are scored at a time


@dataclass(frozen=True, slots=True)
class CacheRoom:
    """Memory of the KV cache: the maximum, and the part that stays cached without a sequence."""

    bytes: int
    kept_bytes: int


class NativeNetwork(Network):
    """A lowered model, its limits, and the engine that runs it."""

    def __init__(self, lowered: Lowered, limits: Limits, kept_bytes: int | None = None) -> None:
        self.device = lowered.decoder.device
        # all cores, while torch uses half of them: one step serves all sequences
        self.engine = Engine(
            lowered.decoder,
            lowered.expert_updates,
            threads=available_cores(),
            kept_bytes=kept_bytes,
        )
        self.context_tokens = min(limits.context_tokens, self.engine.most_tokens)
        self._cut = self.context_tokens < limits.context_tokens
        self.limits = limits
        self.end_tokens = limits.end_tokens
        self.adapters = LoadedAdapters(lowered.decoder, lowered.weights)
        self.patterns: Mapping[str, ExpertPattern] = {}
        """By the domains whose sequences use them."""
        self._lowered = lowered
        weakref.finalize(self, self.engine.stop)

    @property
    def limit(self) -> str:
        """See :attr:`Network.limit`."""
        if self._cut:
            return f"the KV cache of {self.context_tokens} tokens (model.cache_mib enlarges it)"
        return f"the model's context of {self.context_tokens} tokens"

    @property
    def problem(self) -> str:
        """See :attr:`Network.problem`."""
        return self.engine.problem

    def counters(self) -> Mapping[str, int]:
        """See :meth:`Network.counters` and :class:`expertrag.llm.engine.sequences.Counters`.

        ``routed_experts``: experts that ``routed_tokens`` used, both counted in each layer with a
        router. If not all experts are in memory, what was read is counted as in ``Usage``.
        """
        experts, tokens = self._lowered.decoder.experts_used
        reads = self._lowered.decoder.expert_reads
        counted = {**asdict(self.engine.counters), **(expert_counts(reads) if reads else {})}
        return {**counted, "routed_experts": experts, "routed_tokens": tokens}

    def weights(self) -> WeightUse:
        """See :meth:`Network.weights`; with an expert per sequence, tokens use only that."""
        lowered = self._lowered
        format = getattr(lowered.weights["layers.0.out"], "format", Format.BF16)
        adapters = lowered.adapters.amounts(format) if lowered.adapters else ({}, Amount())
        use = weight_use(lowered.weights, lowered.top_k, *adapters, lowered.light_experts)
        named = bool(self.limits.experts and use.experts)
        return replace(use, top_k=1, by_sequence=True) if named else use

    @property
    def routes_tokens(self) -> bool:
        """Whether routers choose experts token by token."""
        return bool(self._lowered.routers) and not self.limits.experts

    @property
    def token_routers(self) -> Sequence[Router]:
        """The routers that choose experts by token, in the order of the layers."""
        return self._lowered.decoder.routers

    @property
    def null_experts(self) -> int:
        """How many null experts routers can choose from."""
        return self._lowered.null_experts

    def reset_prefix_cache(self) -> None:
        """See :meth:`Network.reset_prefix_cache`."""
        self.engine.reset_prefix_cache()

    def make_policy(
        self,
        domain: str | None = None,
        *,
        routing: Routing = AS_THE_MODEL,
        adapter: LoadedAdapter | None = None,
        salt: str = "",
    ) -> SequencePolicy:
        """See :meth:`Network.make_policy`; with the expert pattern of the domain, if it has one."""
        pattern = self.patterns.get(domain or "")
        return SequencePolicy(self.limits.expert_of(domain), routing, pattern, adapter, salt)

    def new_cache(self, policy: SequencePolicy | None = None) -> SequenceState:
        """Return an empty sequence, for :meth:`forward`."""
        sequence = SequenceState([], policy=policy or self.make_policy())
        self.engine.submit(sequence)
        return sequence

    def free(self, cache: SequenceState) -> None:
        """End a sequence."""
        self.engine.close(cache)

    def forward(
        self, tokens: Sequence[int], cache: SequenceState, *, watched: bool = False
    ) -> Step:
        """See :meth:`Network.forward`."""
        rows = min(ROUTER_TOKENS, len(tokens)) if watched else 1
        self.engine.prefill(cache, tokens, rows, return_states=watched)
        output = self.engine.next_output(cache, never_stop)
        assert isinstance(output, PrefillOutput), "prefill returns one"
        return Step(output.logits[-1], self.watch(output) if watched else None)

    def watch(self, output: PrefillOutput) -> Watched:
        """Return the routing and hidden states that the decoder kept of a prompt's last rows."""
        routers = [output.states[place] for place in self._lowered.routers]
        states = [output.states[p][-1] for p in (self._lowered.middle, self._lowered.upper)]
        return join_watched(routers, states)

    def read(
        self,
        items: Sequence[tuple[Sequence[int], Sequence[int]]],
        policy: SequencePolicy | None = None,
    ) -> Iterator[tuple[int, ScoredText]]:
        """See :meth:`Network.read`; shortest first."""
        order = sorted(range(len(items)), key=lambda place: sum(map(len, items[place])))
        for start in range(0, len(order), _MOST_OPEN):
            sequences = {
                place: self.new_cache(policy) for place in order[start : start + _MOST_OPEN]
            }
            try:
                for place, sequence in sequences.items():
                    prompt, continuation = items[place]
                    # starting at the prompt's last token, whose logits predict the first one
                    rows = len(continuation) + 1
                    self.engine.prefill(
                        sequence, [*prompt, *continuation], rows, return_states=True
                    )
                for place, sequence in sequences.items():
                    output = self.engine.next_output(sequence, never_stop)
                    assert isinstance(output, PrefillOutput), "prefill returns one"
                    yield place, self._reading(output, items[place][1])
            finally:
                for sequence in sequences.values():
                    self.free(sequence)

    def _reading(self, output: PrefillOutput, continuation: Sequence[int]) -> ScoredText:
        chosen = torch.tensor(continuation)[:, None]
        log_probabilities = output.logits[:-1].log_softmax(-1).cpu().gather(1, chosen)[:, 0]
        places = self._lowered.middle, self._lowered.upper
        middle, upper = (output.states[place][1:].mean(0).cpu() for place in places)
        return ScoredText(log_probabilities.numpy(), middle.numpy(), upper.numpy())
