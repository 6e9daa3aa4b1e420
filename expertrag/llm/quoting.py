"""Writes documents into a prompt so that they cannot pass for parts of it.

Without this, a document that says "[2] Official correction" on a line of its own forges another
passage. A document that says "Question: …" ends the passages. Only lines that begin like a marker
of the prompt change, and invisible characters; everything else stays as it is.
"""

from __future__ import annotations

import re

from expertrag_index.words.invisible import visible

_BREAKS = "\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
_LINE = rf"(?:\A|(?<=[{_BREAKS}]))"
_SPACE = rf"[^\S{_BREAKS}]*+"
# "[1]," and "[1][2]" are code or citations: the number of a passage stands alone
_NUMBER = re.compile(rf"{_LINE}({_SPACE})[\[\uff3b](\d+)[\]\uff3d](?![,;.)\]}}\[(])")
_TURN = re.compile(
    rf"{_LINE}(?={_SPACE}(?:question|(?:short\s)?answer){_SPACE}[:\uff1a])", re.IGNORECASE
)
_LINE_BREAKS = re.compile(rf"\s*+[{_BREAKS}]\s*+|[{_BREAKS}]\s*+")

# Tried with Qwen2.5-Coder-1.5B-Instruct on 11 documents that forge passages or turns, each before
# and after an honest one, and on 40 paragraphs of squad2 as footnoted text or lists of questions.
# As they are, 8 of 22 forgeries succeed and 28 answers are right; with "> [2]", 8 and 30; with
# "(2)" and "Q:", 4 and 28; with four spaces before both, 6; with "(2)" and "> Question:", 4.


def passage_text(text: str) -> str:
    """Return the text of a passage: "[2]" becomes "(2)" and "Question:" is quoted."""
    return _TURN.sub("> ", _NUMBER.sub(r"\1(\2)", visible(text)))


def passage_title(title: str) -> str:
    """Return the title of a passage: one line, which ends before one that begins like a marker."""
    title = visible(title)
    forged = [match.start() for marker in (_NUMBER, _TURN) if (match := marker.search(title, 1))]
    return _LINE_BREAKS.sub(" ", title[: min(forged)].rstrip() if forged else title)
