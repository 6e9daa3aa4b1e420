"""Log probabilities of sampled tokens, aligned with their text."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from expertrag.api.logprobs import TokenLogprob, TopLogprob


@dataclass(frozen=True, slots=True)
class Ranked:
    """The log probability of a sampled token, and the most probable tokens with theirs."""

    logprob: float
    top: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, logits: torch.Tensor, token: int, count: int) -> Ranked:
        """Compute it from the model's logits (V,), with the ``count`` most probable tokens."""
        said = logits.float().log_softmax(-1)
        values, tokens = said.topk(count)
        pairs = zip(tokens.tolist(), values.tolist(), strict=True)
        return cls(float(said[token]), tuple(pairs))

    def top_in_text(self, would_add: Callable[[int], str]) -> tuple[TopLogprob, ...]:
        """Return the most probable tokens as the text that each would add."""
        return tuple(TopLogprob(would_add(token), logprob) for token, logprob in self.top)


class Spelling:
    """Tokens whose text is not shown yet, as a stop string may still cut it."""

    def __init__(self) -> None:
        # Several tokens may form one character: all but the last of them have no text.
        self._waiting: deque[list[TokenLogprob]] = deque()
        self._shown = 0  # characters of the first ones that were shown

    def push(self, token: TokenLogprob) -> None:
        """Add a token; its text follows the text of the tokens before it."""
        if self._waiting and not self._waiting[-1][-1].text:
            self._waiting[-1].append(token)
        else:
            self._waiting.append([token])

    def complete(self, text: str) -> None:
        """Set the text of the last token, which was incomplete."""
        if text and self._waiting:
            self._waiting[-1][-1] = replace(self._waiting[-1][-1], text=text)

    def take(self, characters: int) -> tuple[TokenLogprob, ...]:
        """Return the tokens that end within the next ``characters`` of the text."""
        self._shown += characters
        ended: list[TokenLogprob] = []
        while self._waiting and 0 < len(text := self._waiting[0][-1].text) <= self._shown:
            self._shown -= len(text)
            ended += self._waiting.popleft()
        return tuple(ended)

    def take_last(self, characters: int) -> tuple[TokenLogprob, ...]:
        """Return the tokens of the last ``characters``; a token that extends beyond is cut."""
        ended = self.take(characters)
        if not self._shown or not self._waiting:
            return ended
        *begun, cut = self._waiting.popleft()
        return (*ended, *begun, replace(cut, text=cut.text[: self._shown]))
