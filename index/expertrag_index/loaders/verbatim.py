"""Sets code aside while rules rewrite the text around it."""

from __future__ import annotations

import re

_MARK = re.compile(r"(?:#\0#|\0)([0-9]+)\0")
_FENCES = re.compile(r"^[^\S\n]*(`{3,})", re.MULTILINE)


class Verbatim:
    """Texts that are set aside, each with a mark in its place.

    A mark holds NUL, which no decoded text contains. The mark of a block stands on a line of its
    own and begins with ``#``. A rule below the block then does not make a title of it.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []

    def inline(self, text: str) -> str:
        """Set aside a part of a line, and return its mark."""
        self._texts.append(text)
        return f"\0{len(self._texts) - 1}\0"

    def block(self, text: str) -> str:
        """Set aside whole lines, and return their mark."""
        return f"#\0#{self.inline(text)[1:]}"

    def restore(self, text: str) -> str:
        """Return the text with what was set aside in the place of its marks."""
        return _MARK.sub(lambda mark: self._texts[int(mark[1])], text)


def fence_code(code: str, language: str = "") -> str:
    """Write code as a block whose fence is longer than each fence in it."""
    longest = max((len(mark) for mark in _FENCES.findall(code)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"
