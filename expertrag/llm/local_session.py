"""Base of the sessions of models in this process: turns tokens into text, and into signals."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from expertrag.api.events import DeltaEvent
from expertrag.api.logprobs import TokenLogprob
from expertrag.api.types import FinishReason, Sampling
from expertrag.llm.base import Session, ShouldStop
from expertrag.llm.certainty import Certainty, average
from expertrag.llm.constraints import Matcher
from expertrag.llm.detokenize import Detokenizer, StopFilter
from expertrag.llm.logprobs import Ranked, Spelling
from expertrag.llm.prompt import ABSTAINS_FROM
from expertrag.llm.sampling import Abstention, Sampler
from expertrag.llm.watching import Watched
from expertrag_retriever.types import PrefillSignals


@dataclass(frozen=True, slots=True)
class LocalPrompt:
    """The prompt of a session, and how its text is sampled and written.

    ``decode`` turns tokens into text. ``matcher`` follows the constraint of ``sampling``.
    ``goes_on``: the prompt ends in a begun turn, which the text continues.
    """

    tokens: list[int]
    sampling: Sampling
    decode: Callable[[Sequence[int]], str]
    should_stop: ShouldStop
    matcher: Matcher | None = None
    abstention: Abstention | None = None
    goes_on: bool = False

    def sampler(self, device: torch.device) -> Sampler:
        """Make the sampler of the session."""
        return Sampler.of(self.sampling, device, self.matcher, self.abstention)


class LocalSession(Session):
    """One prompt; subclasses provide the tokens."""

    def __init__(self, prompt: LocalPrompt) -> None:
        sampling, abstention = prompt.sampling, prompt.abstention
        self.prompt_tokens = len(prompt.tokens)
        self.finish_reason = FinishReason.LENGTH
        self._max_tokens = sampling.max_tokens
        self._logprobs = sampling.logprobs
        self._probe = abstention.probe if abstention else None
        self._abstention_tokens = abstention.tokens if abstention else ()
        self._should_stop = prompt.should_stop
        self._detokenizer = Detokenizer(prompt.decode, goes_on=prompt.goes_on)
        self._filter = StopFilter(sampling.stop)
        self._watched = Watched()
        self._certainties: list[Certainty] = []
        self._ranked: deque[Ranked] = deque()  # of the next tokens, if requested
        self._spelling = Spelling()
        self._ended = False

    def deltas(self) -> Iterator[DeltaEvent]:
        """Yield the text; see :meth:`Session.deltas`."""
        while (token := self._next()) is not None:
            piece = self._filter.push(self._spell(token))
            if self._filter.stopped:
                self._end(FinishReason.STOP)
                yield from self._last(piece)
                return
            if piece:
                yield DeltaEvent(piece, self._spelling.take(len(piece)))
        rest = self._detokenizer.flush()
        self._spelling.complete(rest)
        tail = self._filter.push(rest) + self._filter.flush()
        if self._filter.stopped:
            self.finish_reason = FinishReason.STOP
        yield from self._last(tail)

    def _spell(self, token: int) -> str:
        """Return the text that a token completes."""
        if not self._ranked:
            return self._detokenizer.push(token)
        top = self._ranked[0].top_in_text(self._detokenizer.would_add)
        text = self._detokenizer.push(token)
        self._spelling.push(TokenLogprob(text, self._ranked.popleft().logprob, top))
        return text

    def _last(self, piece: str) -> Iterator[DeltaEvent]:
        logprobs = self._spelling.take_last(len(piece))
        if piece or logprobs:
            yield DeltaEvent(piece, logprobs)

    def _signals(self, tokens: int) -> PrefillSignals | None:
        """Return the signals of the first ``tokens`` tokens whose certainty was measured."""
        if not self._certainties:
            return None
        return replace(
            average(self._certainties[:tokens]),
            router_entropy=self._watched.router_entropy,
            vectors=self._watched.vectors,
        )

    def _abstaining(self) -> list[int]:
        """Apply the probe, if there is one; return the tokens of the abstention if it abstains."""
        if self._probe is None:
            return []
        self.doubt = self._probe.probability(self._watched.vectors)
        return list(self._abstention_tokens) if self.doubt >= ABSTAINS_FROM else []

    def _end(self, reason: FinishReason) -> None:
        self._ended = True
        self.finish_reason = reason

    @abstractmethod
    def _next(self) -> int | None:
        """Return the next token; None at the end."""
        ...
