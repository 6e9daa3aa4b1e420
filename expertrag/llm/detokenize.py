"""Turn token ids into text as they arrive: whole characters, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_BROKEN = "\ufffd"  # decoded from the first bytes of a character
_LONGEST_CHARACTER = 4  # bytes in UTF-8; a longer run of broken ones will never be a character


class Detokenizer:
    """Decodes a growing list of tokens; the pieces join to the decoding of the whole list.

    A single token may lose its leading space or be part of a character. So each step decodes the
    last piece's tokens together with the new ones, and returns the text that was added.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], *, goes_on: bool = False) -> None:
        """Start; if the text ``goes_on`` with a begun turn, its leading white space is dropped."""
        self._decode = decode
        self._spaced = goes_on
        self._tokens: list[int] = []  # from the start of the last piece
        self._shown = 0  # how many of them have been yielded
        self._prefix = ""  # their text

    def push(self, token: int) -> str:
        """Add a token and return the text that it completes, possibly none."""
        self._tokens.append(token)
        text = self._decode(self._tokens)
        new = text[len(self._prefix) :]
        broken = len(new) - len(new.rstrip(_BROKEN))
        if not new or 0 < broken < _LONGEST_CHARACTER:
            return ""
        return self._advance(text)

    def would_add(self, token: int) -> str:
        """Return the text that a token would complete now, without adding it."""
        return self._begin(self._decode([*self._tokens, token])[len(self._prefix) :])

    def flush(self) -> str:
        """Return the text held back; an unfinished character becomes U+FFFD."""
        return self._advance(self._decode(self._tokens))

    def _advance(self, text: str) -> str:
        piece = text[len(self._prefix) :]
        self._tokens = self._tokens[self._shown :]
        self._shown = len(self._tokens)
        self._prefix = self._decode(self._tokens)
        piece = self._begin(piece)
        self._spaced = self._spaced and not piece
        return piece

    def _begin(self, piece: str) -> str:
        return piece.lstrip() if self._spaced else piece


class StopFilter:
    """Passes text on up to the first stop string, wherever the pieces split it."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def push(self, piece: str) -> str:
        """Add a piece and return the text that cannot become part of a stop string."""
        text = self._held + piece
        ends = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            self.stopped, self._held = True, ""
            return text[: min(ends)]
        cut = len(text) - max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> str:
        """Return the text held back, once no more text can come."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest suffix of ``text`` that is a prefix of ``stop``."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)
