"""The follow-ups of ``follow_ups.jsonl``, and whether a rewriting of one is right.

A line is a conversation: ``history`` are its turns, of user and assistant in alternation;
``follow_ups`` are messages that may come next, each on its own. ``meant`` is such a message as it
stands alone, left out where it is the message itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expertrag.api.turns import Turn

FILE = Path(__file__).with_name("follow_ups.jsonl")
HALVES = ("choose", "test")
STAND_ALONE = ("alone", "change")
THANKS = "thanks"

_WORD = re.compile(r"[\w'-]+")
_FAULTS = (
    re.compile(r"\b(\w+) \1\b", re.IGNORECASE),  # "the the"
    re.compile(r"\b(?:the|an?|my|your|his|her|its|our|their) (?:the|an?)\b", re.IGNORECASE),
    re.compile(r"\b(?:the|an?) (?:in|on|at|with|for|of|from|to|is|are|do|does)\b", re.IGNORECASE),
    re.compile(r"(?<!\d)[^\Ws\d]'(?= [a-z])"),  # "the paint' warranty"
    re.compile(r"\w's's|\?\s*\?|[,.;] ?\?|\s[,?.!]|\(\s*\)"),
    re.compile(r"(?<![.?!:(\"])\s(?:The|This|That|It|What|How|Which|When|Where)\b(?! [A-Z])"),
)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A message after a conversation, and what it means.

    ``must``: groups of beginnings of words; a right rewriting has one of each group. ``must_not``:
    what it does not have.
    """

    conversation: str
    half: str
    history: tuple[Turn, ...]
    kind: str
    question: str
    meant: str
    must: tuple[tuple[str, ...], ...] = ()
    must_not: tuple[str, ...] = ()

    def is_right(self, rewriting: str) -> bool:
        """Return whether a rewriting says what the message means, in English.

        A message that stands alone stays as it is, but for its case and its punctuation.
        """
        if self.kind in STAND_ALONE:
            return _WORD.findall(rewriting.lower()) == _WORD.findall(self.question.lower())
        if faults(rewriting) or _has_any(rewriting, self.must_not):
            return False
        return all(_has_any(rewriting, group) for group in self.must)


def faults(text: str) -> list[str]:
    """Return the places of a question that are not English, as far as patterns find them."""
    matches = (fault.search(text) for fault in _FAULTS)
    return list(dict.fromkeys(match.group() for match in matches if match))


def read_follow_ups(path: Path = FILE) -> list[FollowUp]:
    """Read all follow-ups, in the order of the file."""
    lines = map(json.loads, path.read_text("utf-8").splitlines())
    return [_follow_up(line, given) for line in lines for given in line["follow_ups"]]


def _follow_up(line: dict[str, Any], given: dict[str, Any]) -> FollowUp:
    turns = [
        (Turn.assistant if n % 2 else Turn.user)(text) for n, text in enumerate(line["history"])
    ]
    return FollowUp(
        line["id"],
        line["half"],
        tuple(turns),
        given["kind"],
        given["question"],
        given.get("meant", given["question"]),
        tuple(map(tuple, given.get("must", ()))),
        tuple(given.get("must_not", ())),
    )


def _has_any(text: str, beginnings: Sequence[str]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(each)}", text, re.I) for each in beginnings)
