"""Leaves the thoughts of a thinking model out of its answer."""

from __future__ import annotations

from enum import Enum, auto

_OPEN, _CLOSE = "<think>", "</think>"


class _State(Enum):
    START = auto()
    THINKING = auto()
    THOUGHT = auto()  # nothing but white space has followed the thoughts
    ANSWERING = auto()


class ThoughtFilter:
    """Drops ``<think>…</think>`` at the beginning of a text that comes in pieces.

    Servers that separate thoughts themselves send none of it.
    """

    def __init__(self) -> None:
        self._state = _State.START
        self._held = ""  # what is not yet known to be shown or dropped

    def push(self, piece: str) -> str:
        """Return what is shown after a piece of the text."""
        if self._state is _State.ANSWERING:
            return piece
        self._held += piece
        if self._state is _State.START and self._held.lstrip().startswith(_OPEN):
            self._state = _State.THINKING
        if self._state is _State.THINKING:
            _, closed, after = self._held.partition(_CLOSE)
            if not closed:
                self._held = self._held[1 - len(_CLOSE) :]  # may end with the beginning of it
                return ""
            self._state, self._held = _State.THOUGHT, after
        if self._state is _State.THOUGHT:
            self._held = self._held.lstrip()
            return self.flush() if self._held else ""
        return "" if _OPEN.startswith(self._held.lstrip()) else self.flush()

    def flush(self) -> str:
        """Return what is held back when the text ends; an open thought stays hidden."""
        if self._state is _State.THINKING:
            return ""
        shown, self._held, self._state = self._held, "", _State.ANSWERING
        return shown
