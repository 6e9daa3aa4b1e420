"""The session of one prompt on the engine, which samples the tokens that the session streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from expertrag.api.events import DeltaEvent
from expertrag.api.types import FinishReason
from expertrag.llm.engine.expert_memory import expert_counts
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.engine.sequences import (
    PrefillOutput,
    SampledToken,
    SequenceState,
    WeakSequence,
)
from expertrag.llm.local_session import LocalPrompt, LocalSession
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag.llm.watching import ROUTER_TOKENS
from expertrag_retriever.types import PrefillSignals


@dataclass(frozen=True, slots=True)
class WeakPrompt:
    """The weak side of a session: another policy of the same prompt, or another prompt."""

    policy: SequencePolicy
    tokens: Sequence[int] | None = None


class NativeSession(LocalSession):
    """Owns a sequence of the engine, submitted at the first ``peek``, ``look`` or ``deltas``."""

    def __init__(
        self,
        network: NativeNetwork,
        prompt: LocalPrompt,
        policy: SequencePolicy,
        weak: WeakPrompt | None = None,
    ) -> None:
        super().__init__(prompt)
        self._network = network
        self._sampler = prompt.sampler(network.device)
        self._sequence = SequenceState(
            prompt.tokens,
            self._sampler,
            network.end_tokens,
            policy,
            logprobs=prompt.sampling.logprobs,
        )
        if weak:
            same = weak.tokens is None
            self._sequence.weak = WeakSequence(
                list(prompt.tokens if weak.tokens is None else weak.tokens),
                policy=weak.policy,
                # without the last tokens, whose states a peek returns: it must not change the text
                shared_tokens=max(0, self.prompt_tokens - ROUTER_TOKENS) if same else 0,
            )
            network.engine.check_room(self._sequence, self._max_tokens)
        self._waiting: list[int] = []  # tokens that are not yet streamed

    def peek(self, tokens: int) -> PrefillSignals | None:
        """Prefill and sample the first tokens; see :meth:`Session.peek`."""
        wanted = min(tokens, self._max_tokens)
        if len(self._certainties) < wanted and not self._ended:
            self._allow(wanted, sure=True)
        while self.completion_tokens < wanted and not self._ended:
            token = self._take()
            if token is not None:
                self._waiting.append(token)
        return self._signals(tokens)

    @property
    def expert_counts(self) -> Mapping[str, int]:
        """See :attr:`Session.expert_counts`."""
        return expert_counts(self._sequence.expert_reads)

    def look(self) -> float | None:
        """Sample the first token; see :meth:`Session.look`."""
        if not self.lm_calls:
            self._allow(1, sure=False)
            token = self._take()
            if token is not None:
                self._waiting.insert(0, token)  # before the rest of an abstention
        return self.doubt

    def deltas(self) -> Iterator[DeltaEvent]:
        """Yield the text; see :meth:`Session.deltas`."""
        if not self._ended:
            self._allow(self._max_tokens, sure=False)
        yield from super().deltas()

    def close(self) -> None:
        """Free the cache; see :meth:`Session.close`."""
        self._end(self.finish_reason)
        self._waiting.clear()

    def _allow(self, tokens: int, *, sure: bool) -> None:
        if self.lm_calls:
            self._network.engine.set_budget(self._sequence, tokens, return_certainty=sure)
            return
        self.lm_calls = 1
        self._sequence.token_budget, self._sequence.return_certainty = tokens, sure
        if sure or self._probe:
            self._sequence.state_rows = min(ROUTER_TOKENS if sure else 1, self.prompt_tokens)
        self._network.engine.submit(self._sequence)

    def _next(self) -> int | None:
        if not self._waiting and not self._ended:
            return self._take()
        return self._waiting.pop(0) if self._waiting else None

    def _take(self) -> int | None:
        """Wait for a token; None at the end of the sequence."""
        output = self._network.engine.next_output(self._sequence, self._should_stop)
        if isinstance(output, PrefillOutput):
            self._watched = self._network.watch(output)
            self.cached_tokens = self._sequence.cached
            if saying := self._abstaining():
                self._waiting = saying[1:]
                self._end(FinishReason.STOP)
                return saying[0]
            output = self._network.engine.next_output(self._sequence, self._should_stop)
        assert isinstance(output, SampledToken), "prefill returns one output"
        self.cached_tokens = self._sequence.cached
        if output.certainty is not None:
            self._certainties.append(output.certainty)
        if not self._probe:
            self.doubt = self._sampler.doubt
        self.completion_tokens += 1
        if output.token in self._network.end_tokens:
            self._end(FinishReason.STOP)
            return None
        if output.ranked is not None:
            self._ranked.append(output.ranked)
        if output.last:
            self._end(FinishReason.STOP)
        elif self.completion_tokens == self._max_tokens:
            self._end(FinishReason.LENGTH)
        return output.token

    def _end(self, reason: FinishReason) -> None:
        super()._end(reason)
        self._network.engine.close(self._sequence)
