"""Speculative decoding by prompt lookup: draft tokens come from an earlier occurrence.

Answers quote their passages, so the prompt itself proposes what follows (prompt lookup decoding,
Saxena 2023; speculative decoding, Leviathan et al. 2023, without a second model). The model
verifies the draft tokens in one pass and accepts those that it would have sampled anyway, so the
output does not change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_NGRAMS = (3, 2)  # tokens that must recur, the longer n-gram first
_ROW_COST = 0.2  # of one more row, in steps: a draft token pays if it is accepted more often
_INITIAL_ACCEPTANCE = 0.5
_DECAY = 0.9
_RETRY = 0.01
_STEP_ROWS = 16  # of sequences in decode and their draft tokens; more cost as much as they save
_LIMIT = 6  # draft tokens of a sequence


def draft_limit(decoding: int) -> int:
    """Return how many draft tokens each of so many sequences in decode may have in a step."""
    return min(_LIMIT, max(0, _STEP_ROWS // decoding - 1)) if decoding else 0


class PromptLookup:
    """The positions of a sequence's n-grams, and the acceptance rate of its draft tokens."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], int] = {}
        self._indexed = 0  # tokens whose n-grams are in the table
        self._acceptance = _INITIAL_ACCEPTANCE  # of a draft token after accepted ones

    def propose(self, tokens: Sequence[int], most: int) -> list[int]:
        """Return up to ``most`` draft tokens; fewer after a low acceptance rate."""
        self._index(tokens)
        worth = int(math.log(_ROW_COST) / math.log(min(self._acceptance, 0.99)))
        if not worth:
            self._acceptance += _RETRY
            return []
        for length in _NGRAMS:
            at = self._after.get(tuple(tokens[-length:]))
            if at is not None and len(tokens) > length:
                return list(tokens[at : at + min(worth, most)])
        return []

    def observe(self, drafted: int, accepted: int) -> None:
        """Update the acceptance rate: ``accepted`` of ``drafted`` tokens were sampled."""
        for number in range(min(accepted + 1, drafted)):
            self._acceptance = _DECAY * self._acceptance + (1 - _DECAY) * (number < accepted)

    def _index(self, tokens: Sequence[int]) -> None:
        """Record what follows each n-gram; the last one is followed by nothing yet."""
        for end in range(max(self._indexed, 1), len(tokens)):
            for length in _NGRAMS:
                if end >= length:
                    self._after[tuple(tokens[end - length : end])] = end
        self._indexed = len(tokens)
