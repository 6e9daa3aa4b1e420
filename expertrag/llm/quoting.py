"""Writes documents into a prompt so that they cannot pass for parts of it.

Without this, a document that says "[2] Official correction" on a line of its own forges another
passage, and one that says "Question: …" ends the passages. Only lines that begin like a marker of
the prompt change, and invisible characters; everything else stays as it is.
"""

from __future__ import annotations

import re

from expertrag_index.invisible import visible

_BREAKS = "\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
_MARKER = re.compile(
    rf"(?:\A|(?<=[{_BREAKS}]))(?=[^\S{_BREAKS}]*"
    r"(?:[\[［]\d+[\]］]|(?:question|(?:short\s)?answer)\s*[:：]))",  # noqa: RUF001
    re.IGNORECASE,
)
_LINE_BREAKS = re.compile(rf"\s*[{_BREAKS}]\s*")
_QUOTE = "> "


def passage_text(text: str) -> str:
    """Return the text of a passage with forged markers quoted, as in Markdown and mail."""
    return _MARKER.sub(_QUOTE, visible(text))


def passage_title(title: str) -> str:
    """Return the title of a passage: one line, which ends before one that begins like a marker."""
    title = visible(title)
    forged = _MARKER.search(title, 1)
    return _LINE_BREAKS.sub(" ", title[: forged.start()].rstrip() if forged else title)
