"""The session of one prompt on an OpenAI-compatible server."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import ChoiceDelta
from openai.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob

from expertrag.api.events import DeltaEvent
from expertrag.api.logprobs import TokenLogprob, TopLogprob
from expertrag.api.types import FinishReason, Sampling
from expertrag.llm.backends.background import Running
from expertrag.llm.backends.thoughts import ThoughtFilter
from expertrag.llm.base import Session, ShouldStop
from expertrag.llm.certainty import Certainty, average
from expertrag.llm.detokenize import StopFilter
from expertrag.llm.logprobs import Spelling
from expertrag_retriever.types import PrefillSignals


@dataclass(frozen=True, slots=True)
class _Piece:
    """The text of a chunk, and its tokens if the caller requested log probabilities."""

    text: str
    tokens: list[TokenLogprob]


class OpenAISession(Session):
    """Sends its request at the first ``peek`` or ``deltas``; closing it closes the connection."""

    def __init__(
        self,
        start: Callable[[], Running[ChatCompletionChunk]],
        prompt_tokens: int,
        sampling: Sampling,
        should_stop: ShouldStop,
    ) -> None:
        self.lm_calls = 0
        self.prompt_tokens = prompt_tokens  # an estimate until the server reports it
        self.completion_tokens = 0
        self.finish_reason = FinishReason.LENGTH
        self._start = start
        self._should_stop = should_stop
        self._filter = StopFilter(sampling.stop)
        self._running: Running[ChatCompletionChunk] | None = None
        self._pieces: Iterator[_Piece] = self._read()
        self._waiting: deque[_Piece] = deque()  # read by peek, not yet streamed
        self._logprobs = sampling.logprobs
        self._spelling = Spelling()
        self._certainties: list[Certainty] = []

    def peek(self, tokens: int) -> PrefillSignals | None:
        """Read the first tokens; None if the server returns no log probabilities."""
        while len(self._certainties) < tokens:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._waiting.append(piece)
            if not self._certainties:
                return None
        return average(self._certainties[:tokens]) if self._certainties else None

    def deltas(self) -> Iterator[DeltaEvent]:
        """Yield the text; see :meth:`Session.deltas`."""
        while (piece := self._next()) is not None:
            for token in piece.tokens:
                self._spelling.push(token)
            shown = self._filter.push(piece.text)
            if self._filter.stopped:
                self.finish_reason = FinishReason.STOP
                self.close()
                break
            if shown:
                yield DeltaEvent(shown, self._spelling.take(len(shown)))
        else:
            shown = self._filter.flush()
        logprobs = self._spelling.take_last(len(shown))
        if shown or logprobs:
            yield DeltaEvent(shown, logprobs)

    def close(self) -> None:
        """Close the connection, which ends the server's work; safe to call twice."""
        if self._running is not None:
            self._running.cancel()
        self._pieces = iter(())
        self._waiting.clear()

    def _next(self) -> _Piece | None:
        return self._waiting.popleft() if self._waiting else next(self._pieces, None)

    def _read(self) -> Iterator[_Piece]:
        """Yield the text of each chunk, and record usage, certainties and the finish reason.

        Thoughts are left out: ``reasoning_content`` is not read, and ``ThoughtFilter`` drops those
        in the text.
        """
        self._should_stop()
        self._running = self._start()
        self.lm_calls = 1
        thoughts = ThoughtFilter()
        for chunk in self._running.items(self._should_stop):
            if chunk.usage is not None:
                self.prompt_tokens = chunk.usage.prompt_tokens
                self.completion_tokens = chunk.usage.completion_tokens
            for choice in chunk.choices or ():
                if choice.finish_reason is not None:
                    length = choice.finish_reason == "length"
                    self.finish_reason = FinishReason.LENGTH if length else FinishReason.STOP
                sent = choice.delta.content or ""
                if sent:
                    self.completion_tokens += 1  # an estimate until the server reports it
                text = thoughts.push(sent)
                tokens = (choice.logprobs.content if choice.logprobs else None) or []
                if (sent and not text) or _is_thought(choice.delta):
                    continue  # its probabilities say nothing of the answer
                self._certainties += map(_certainty, tokens)
                if text or tokens:
                    yield _Piece(text, self._token_logprobs(text, tokens))
        if held := thoughts.flush():
            yield _Piece(held, [])

    def _token_logprobs(
        self, text: str, tokens: Sequence[ChatCompletionTokenLogprob]
    ) -> list[TokenLogprob]:
        """Return the log probabilities of a chunk's tokens, if the caller requested them.

        The server's token texts need not join to the chunk's text, for example if several tokens
        form one character. The last token then gets all of the text.
        """
        if self._logprobs is None or not tokens:
            return []
        texts = [token.token for token in tokens]
        if "".join(texts) != text:
            texts = [*[""] * (len(tokens) - 1), text]
        return [
            TokenLogprob(its, token.logprob, _top(token, self._logprobs))
            for its, token in zip(texts, tokens, strict=True)
        ]


def _is_thought(delta: ChoiceDelta) -> bool:
    """Whether a server that separates thoughts sent one: vLLM, llama-server, DeepSeek."""
    fields = delta.model_extra or {}
    return bool(fields.get("reasoning_content") or fields.get("reasoning"))


def _top(token: ChatCompletionTokenLogprob, count: int) -> tuple[TopLogprob, ...]:
    likely = sorted(token.top_logprobs, key=lambda entry: -entry.logprob)
    return tuple(TopLogprob(entry.token, entry.logprob) for entry in likely[:count])


def _certainty(token: ChatCompletionTokenLogprob) -> Certainty:
    """Compute it from the most probable tokens; the remaining mass counts as one more outcome.

    So the entropy is a lower bound, which is close if 20 tokens hold most of the mass.
    """
    top = sorted((math.exp(entry.logprob) for entry in token.top_logprobs), reverse=True)
    top = top or [math.exp(token.logprob)]
    rest = max(0.0, 1.0 - sum(top))
    entropy = -sum(p * math.log(p) for p in [*top, rest] if p > 0)
    second = top[1] if len(top) > 1 else rest
    return Certainty(top[0] - second, max(0.0, entropy), top[0])
