"""Removes characters that a reader of a text cannot see and a language model can.

Tag characters spell ASCII text, and runs of variation selectors spell bytes. Zero-width characters
cut words apart, and overrides of direction show other text than there is. A character stays where
it is part of the writing. Examples are joiners in emoji and in Arabic and Indic scripts, and line
breaks in Thai, Lao, Burmese and Khmer. Others are tags in the flags of England, Scotland and Wales,
and marks of direction in texts with letters that run right to left.
"""

from __future__ import annotations

import re
from collections import Counter

_EMOJI = "\u2139-\u2bff\u3030\u303d\u3297\u3299\ufe0f\U0001f000-\U0001faff"
_JOINING = (
    "\u0600-\u08ff\u0900-\u109f\u1780-\u18af\u1a20-\u1aaf\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00011fff"
)
_WITHOUT_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
# neither a letter of ASCII, nor invisible itself
_SELECTED = (
    "0-9#*\u00a9-\u200a\u2010-\u2027\u2030-\u205e\u2070-\ufdff\ufe10-\ufefe\uff00-\U000dffff"
)
_TAGS = "\U000e0000-\U000e007f"
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202c\u2066-\u2069"

_SUSPECT = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e01ef]"
)
_INVISIBLE = re.compile(
    rf"""
    (?P<flag>\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{{3,6}}\U000e007f)
    | [\u00ad\u202d\u202e\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb{_TAGS}]
    | (?<![{_WITHOUT_SPACES}])\u200b
    | (?<![{_JOINING}{_EMOJI}])[\u200c\u200d]
    | (?<![\u1800-\u18af])\u180e
    | (?<![{_SELECTED}])[{_SELECTORS}]
    """,
    re.VERBOSE,
)
_FORMATTING = frozenset("\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")
_SPELLING = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]{8}")  # a byte in two kinds
_DIRECTION = re.compile(f"[{_DIRECTIONS}]")
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u0605\u0608-\u061b\u061d-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff"
    "\U0001e800-\U0001efff]"
)


def visible(text: str) -> str:
    """Return the text without invisible characters that carry no meaning."""
    if _SUSPECT.search(text) is None:
        return text
    text = _INVISIBLE.sub(lambda match: match["flag"] or "", text)
    return text if _RIGHT_TO_LEFT.search(text) else _DIRECTION.sub("", text)


def count_removed(text: str, shown: str) -> Counter[str]:
    """Count the characters that :func:`visible` has removed from a text, and that can hide words.

    Editors and web pages scatter hyphens and spaces without width; only many in a row spell words.
    """
    removed = Counter() if text == shown else Counter(text) - Counter(shown)
    if removed and not _SPELLING.search(text):
        return Counter({each: count for each, count in removed.items() if each not in _FORMATTING})
    return removed
