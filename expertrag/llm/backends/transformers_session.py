"""The session of one prompt in transformers: prefill once, peek, then stream."""

from __future__ import annotations

from expertrag.api.types import FinishReason
from expertrag.llm.local_session import LocalPrompt, LocalSession
from expertrag.llm.logprobs import Ranked
from expertrag.llm.network import Network, Step
from expertrag.llm.sampling import certainty
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag_retriever.types import PrefillSignals

_SLICE_TOKENS = 512  # of a prefill, between two checks of the deadline


class TransformersSession(LocalSession):
    """Owns its cache and its sampler; the network is shared."""

    def __init__(self, network: Network, prompt: LocalPrompt, policy: SequencePolicy) -> None:
        super().__init__(prompt)
        self._network = network
        self._prompt = prompt.tokens
        self._sampler = prompt.sampler(network.device)
        self._cache = network.new_cache(policy)
        self._drawn: list[int] = []  # streamed tokens first, then the others
        self._streamed = 0

    def peek(self, tokens: int) -> PrefillSignals | None:
        """Prefill and sample the first tokens; see :meth:`Session.peek`."""
        while len(self._certainties) < tokens and not self._ended:
            self._draw(watch=True)
        return self._signals(tokens)

    def look(self) -> float | None:
        """Sample the first token; see :meth:`Session.look`."""
        if not self._drawn and not self._ended:
            self._draw(watch=False)
        return self.doubt

    def close(self) -> None:
        """Free the cache; see :meth:`Session.close`."""
        self._end(self.finish_reason)
        self._streamed = len(self._drawn)
        self._network.free(self._cache)
        self._sampler.close()

    def _next(self) -> int | None:
        if self._streamed == len(self._drawn) and not self._ended:
            self._draw(watch=False)
        if self._streamed == len(self._drawn):
            return None
        self._streamed += 1
        return self._drawn[self._streamed - 1]

    def _draw(self, *, watch: bool) -> None:
        first = not self._drawn
        step = self._step(watch=watch or (first and self._probe is not None))
        if first and (saying := self._abstaining()):
            self._drawn = saying
            self._end(FinishReason.STOP)
            return
        if watch:
            self._certainties.append(certainty(step.logits))
        token = self._sampler.draw(step.logits)
        if not self._probe:
            self.doubt = self._sampler.doubt
        self.completion_tokens += 1
        if token in self._network.end_tokens:
            self._end(FinishReason.STOP)
            return
        self._drawn.append(token)
        if self._logprobs is not None:
            self._ranked.append(Ranked.of(step.logits, token, self._logprobs))
        if self._sampler.complete:
            self._end(FinishReason.STOP)
        elif self.completion_tokens == self._max_tokens:
            self._end(FinishReason.LENGTH)

    def _step(self, *, watch: bool) -> Step:
        if not self._drawn:
            return self._prefill(watch=watch)
        self._should_stop()
        return self._network.forward(self._drawn[-1:], self._cache)

    def _prefill(self, *, watch: bool) -> Step:
        self.lm_calls = 1
        *first, last = _slices(len(self._prompt))
        for part in first:
            self._should_stop()
            self._network.forward(self._prompt[part], self._cache)
        self._should_stop()
        step = self._network.forward(self._prompt[last], self._cache, watched=watch)
        self._watched = step.watched or self._watched
        return step


def _slices(tokens: int) -> list[slice]:
    """Slice a prompt; the short slice comes first, so that routing is recorded over a full one."""
    first = tokens % _SLICE_TOKENS or _SLICE_TOKENS
    starts = [0, *range(first, tokens, _SLICE_TOKENS)]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], tokens], strict=True)]
