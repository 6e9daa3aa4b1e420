"""Estimates tokens of a text whose tokenizer is unknown, as of a model on a server."""

from __future__ import annotations

import re

_BYTES_PER_TOKEN = 3  # of words: English has 4 to 5, and other languages 2 to 4
_SINGLE = re.compile(rb"[!-@\[-`{-~]|\s(?=[0-9])")  # mostly tokens of their own: digits, marks


def estimate_tokens(text: str) -> int:
    """Return the number of tokens of a text, rather too high than too low.

    Too low for languages that the model's tokenizer does not know.
    """
    data = text.encode("utf-8", "replace")
    single = sum(1 for _ in _SINGLE.finditer(data))
    return single + -(-(len(data) - single) // _BYTES_PER_TOKEN)
