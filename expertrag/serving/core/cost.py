"""Tokens of the language model that an answer has used, also if it was cut off."""

from __future__ import annotations

from collections.abc import Sequence

from expertrag.api.events import (
    AnswerEvent,
    DeltaEvent,
    PassagesEvent,
    UsageEvent,
)
from expertrag.api.turns import Turn

CHARACTERS = 4
"""Characters of a token, on average."""


class Cost:
    """The cost of one answer, by its events: known at its end, until then estimated from lengths.

    Without the estimate, a caller that always leaves before the end would pay nothing.
    """

    def __init__(self, question: str, history: Sequence[Turn] = ()) -> None:
        """Start at no cost: an answer without events has not begun."""
        self._asked = len(question) + sum(len(turn.text) for turn in history)
        self._characters = 0
        self._tokens: int | None = None

    @property
    def tokens(self) -> int:
        """Tokens of prompts and answer so far."""
        estimate = -(-self._characters // CHARACTERS)
        return estimate if self._tokens is None else self._tokens

    def note(self, event: AnswerEvent) -> None:
        """Count an event."""
        if not self._characters:
            self._characters = self._asked
        match event:
            case PassagesEvent():
                self._characters += sum(len(passage.text) for passage in event.passages)
            case DeltaEvent():
                self._characters += len(event.text)
            case UsageEvent(usage):
                self._tokens = usage.prompt_tokens + usage.completion_tokens
