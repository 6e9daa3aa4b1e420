"""One prompt being answered by a transformers model: prefill once, peek, then stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from expertrag.generation.base import Session, ShouldStop
from expertrag.generation.certainty import Certainty, average
from expertrag.generation.detokenize import Detokenizer, StopFilter
from expertrag.generation.network import Network, Step
from expertrag.generation.sampling import Sampler, certainty
from expertrag.generation.watching import Watched
from expertrag.types import FinishReason, Sampling
from expertrag_retriever.types import PrefillSignals

_SLICE_TOKENS = 512  # of a prefill, between two looks at the deadline


class TransformersSession(Session):
    """Owns its cache and its sampler; the network is shared."""

    def __init__(
        self,
        network: Network,
        decode: Callable[[Sequence[int]], str],
        prompt: list[int],
        sampling: Sampling,
        should_stop: ShouldStop,
    ) -> None:
        self.lm_calls = 0
        self.prompt_tokens = len(prompt)
        self.completion_tokens = 0
        self.finish_reason = FinishReason.LENGTH
        self._network = network
        self._prompt = prompt
        self._max_tokens = sampling.max_tokens
        self._should_stop = should_stop
        self._sampler = Sampler.of(sampling, network.device)
        self._detokenizer = Detokenizer(decode)
        self._filter = StopFilter(sampling.stop)
        self._cache = network.new_cache()
        self._watched = Watched()
        self._certainties: list[Certainty] = []
        self._drawn: list[int] = []  # tokens not yet streamed follow those that are
        self._streamed = 0
        self._ended = False

    def peek(self, tokens: int) -> PrefillSignals | None:
        """Prefill and draw the first tokens; see :meth:`Session.peek`."""
        while len(self._certainties) < tokens and not self._ended:
            self._draw(watch=True)
        if not self._certainties:
            return None
        return replace(
            average(self._certainties[:tokens]),
            router_entropy=self._watched.router_entropy,
            vectors=self._watched.vectors,
        )

    def stream(self) -> Iterator[str]:
        """Yield the text; see :meth:`Session.stream`."""
        while (token := self._next()) is not None:
            piece = self._filter.push(self._detokenizer.push(token))
            if piece:
                yield piece
            if self._filter.stopped:
                self._end(FinishReason.STOP)
                return
        tail = self._filter.push(self._detokenizer.flush()) + self._filter.flush()
        if self._filter.stopped:
            self.finish_reason = FinishReason.STOP
        if tail:
            yield tail

    def follow(self, token: int) -> None:
        """Take a token that was drawn elsewhere as the next one."""
        self._drawn.append(token)

    def close(self) -> None:
        """Free the cache; see :meth:`Session.close`."""
        self._end(self.finish_reason)
        self._streamed = len(self._drawn)
        self._network.free(self._cache)

    def _next(self) -> int | None:
        """Return the next token of the text, None at the end."""
        if self._streamed == len(self._drawn) and not self._ended:
            self._draw(watch=False)
        if self._streamed == len(self._drawn):
            return None
        self._streamed += 1
        return self._drawn[self._streamed - 1]

    def _draw(self, *, watch: bool) -> None:
        step = self._step(watch=watch)
        if watch:
            self._certainties.append(certainty(step.logits))
        token = self._sampler.draw(step.logits)
        self.completion_tokens += 1
        if token in self._network.end_tokens:
            self._end(FinishReason.STOP)
            return
        self._drawn.append(token)
        if self.completion_tokens == self._max_tokens:
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

    def _end(self, reason: FinishReason) -> None:
        self._ended = True
        self.finish_reason = reason


def _slices(tokens: int) -> list[slice]:
    """Cut a prompt; the short piece comes first, so that the router is watched over a full one."""
    first = tokens % _SLICE_TOKENS or _SLICE_TOKENS
    starts = [0, *range(first, tokens, _SLICE_TOKENS)]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], tokens], strict=True)]
