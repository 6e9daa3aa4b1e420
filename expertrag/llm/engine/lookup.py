"""Guesses of what comes next: what came after the same tokens before.

Answers quote their passages, so the prompt itself drafts them (prompt look-up decoding, Saxena
2023, as in Leviathan et al. 2023 but without a second model). Guesses are checked by the model in
one pass, and draws are those that it would have made without them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_LENGTHS = (3, 2)  # of what must recur, the longer first
_COST = 0.2  # of a row more in a step, in steps: a guess is worth it that is right more often
_FIRST_TRUST = 0.5
_FORGETTING = 0.9
_RETRY = 0.01


class Lookup:
    """The places of a text's short runs, and how often guesses were right."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}
        self._seen = 0  # tokens whose runs are known
        self._trust = _FIRST_TRUST  # that a guessed token is right, if those before it are

    def guess(self, tokens: Sequence[int], most: int) -> list[int]:
        """Return up to ``most`` tokens that may follow; fewer where earlier guesses were wrong."""
        self._learn(tokens)
        worth = int(math.log(_COST) / math.log(min(self._trust, 0.99)))
        if not worth:
            self._trust += _RETRY
            return []
        for length in _LENGTHS:
            at = self._after.get(tuple(tokens[-length:]))
            if at is not None and len(tokens) > length:
                return list(tokens[at : at + min(worth, most)])
        return []

    def judge(self, guessed: int, right: int) -> None:
        """Tell how many of the guessed tokens were drawn."""
        for number in range(min(right + 1, guessed)):
            self._trust = _FORGETTING * self._trust + (1 - _FORGETTING) * (number < right)

    def _learn(self, tokens: Sequence[int]) -> None:
        """Note what follows each run; a run that is followed by nothing yet is not noted."""
        for end in range(max(self._seen, 1), len(tokens)):
            for length in _LENGTHS:
                if end >= length:
                    self._after[tuple(tokens[end - length : end])] = end
        self._seen = len(tokens)
