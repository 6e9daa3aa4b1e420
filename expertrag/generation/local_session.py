"""What sessions of models in this process have in common: tokens become text, and signals."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from expertrag.generation.base import Session, ShouldStop
from expertrag.generation.certainty import Certainty, average
from expertrag.generation.detokenize import Detokenizer, StopFilter
from expertrag.generation.watching import Watched
from expertrag.types import FinishReason, Sampling
from expertrag_retriever.types import PrefillSignals


class LocalSession(Session):
    """One prompt; where the tokens come from is the subclass's."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        prompt: Sequence[int],
        sampling: Sampling,
        should_stop: ShouldStop,
    ) -> None:
        self.prompt_tokens = len(prompt)
        self.finish_reason = FinishReason.LENGTH
        self._max_tokens = sampling.max_tokens
        self._should_stop = should_stop
        self._detokenizer = Detokenizer(decode)
        self._filter = StopFilter(sampling.stop)
        self._watched = Watched()
        self._certainties: list[Certainty] = []
        self._ended = False

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

    def _signals(self, tokens: int) -> PrefillSignals | None:
        """Signals of the first ``tokens`` tokens, of those that were looked at."""
        if not self._certainties:
            return None
        return replace(
            average(self._certainties[:tokens]),
            router_entropy=self._watched.router_entropy,
            vectors=self._watched.vectors,
        )

    def _end(self, reason: FinishReason) -> None:
        self._ended = True
        self.finish_reason = reason

    @abstractmethod
    def _next(self) -> int | None:
        """Return the next token of the text, None at the end."""
        ...
