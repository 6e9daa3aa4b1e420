"""Log probabilities of tokens. Importing this module loads only the standard library."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TopLogprob:
    """A candidate token at a position, as the text that it would have added."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of the answer, its log probability, and the most likely tokens at its position.

    ``text`` is what the token adds to the answer; the texts of all tokens concatenate to it. It is
    empty if the token only begins a character, and cut where a stop string begins in the token.
    """

    text: str
    logprob: float
    top: tuple[TopLogprob, ...] = ()
