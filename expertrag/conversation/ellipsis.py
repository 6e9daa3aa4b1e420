"""Ask the last question again of something else: "What about Normandy?"."""

from __future__ import annotations

import re

from expertrag.conversation.mentions import Mention, mentions
from expertrag.conversation.subject import Subject

_ELLIPSIS = re.compile(
    r"(?:(?:and|but|or|so|then|ok|okay)\b,?\s+)*(?:(?:and|or|but)\b|(?:what|how) about\b"
    r"|same (?:question )?for\b)\s*(?P<rest>.+?)[\s?.!]*$",
    re.IGNORECASE | re.DOTALL,
)
_ASKS = re.compile(
    r"(?:(?:in|on|at|for|to|from|of|by|with|during|until|since)\s+)?"
    r"(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|has|have|had|can"
    r"|could|will|would|should|may|must|tell|give|show|list|name|describe|explain|compare|define"
    r"|if)\b",
    re.IGNORECASE,
)
_ONE = re.compile(r"ones?\s+(?=(?:in|on|at|for|to|from|of|by|with)\s)", re.IGNORECASE)
_PREPOSITION = re.compile(r"(in|on|at|for|to|from|of|by|with|during|as)\s+", re.IGNORECASE)
_DETERMINER = re.compile(r"(all|every|each|any|which|my|your|our|another|one|two|\d+)\s", re.I)
_OF = frozenset(("of", "for", "with", "by"))
"""Prepositions of the thing itself: "and for X" asks of X, "and in 1990" of another time."""
_ARTICLE = re.compile(r"(?:the|a|an)\s+", re.IGNORECASE)


def asked_again(question: str, subject: Subject) -> str:
    """Return the last question of a conversation, asked of what ``question`` names instead.

    "" if the question is not of that form.
    """
    match = _ELLIPSIS.match(question.strip())
    if match is None or _ASKS.match(match["rest"]):
        return ""
    last, rest = subject.question, _ONE.sub("", match["rest"])
    if preposition := _PREPOSITION.match(rest):
        word = preposition.group(1)
        if word.lower() not in _OF or re.search(rf"\b{word}\b", last, re.IGNORECASE):
            return _with_phrase(last, rest, word)
        rest = rest[preposition.end() :]
    if alike := _with_determiner(last, rest):
        return alike
    old = _replaceable(last, rest, subject.focus)
    if old is None:
        return f"{last.rstrip(' ?.!')}: {rest}?"
    has_article = old.article and _ARTICLE.match(rest)
    start = old.start - len(old.article) - 1 if has_article else old.start
    return last[:start] + rest + last[old.end :]


def _with_determiner(question: str, phrase: str) -> str:
    """Put "all tables" in the place of "all databases"; "" if there is no such phrase."""
    word = _DETERMINER.match(phrase)
    if word is None:
        return ""
    before = re.compile(rf"\b{word[1]}\s+$", re.IGNORECASE)
    for item in reversed(mentions(question)):
        if found := before.search(question[: item.start]):
            return question[: found.start()] + phrase + question[item.end :]
    return ""


def _with_phrase(question: str, phrase: str, preposition: str) -> str:
    """Put "in the US" in the place of "in the UK", or at the end."""
    starts = {
        match.end(): match.start()
        for match in re.finditer(rf"\b{preposition}\s+(?:(?:the|an?)\s+)?", question, re.IGNORECASE)
    }
    for item in reversed(mentions(question)):
        if item.start in starts:
            return question[: starts[item.start]] + phrase + question[item.end :]
    return f"{question.rstrip(' ?.!')} {phrase}?"


def _replaceable(question: str, phrase: str, focus: Mention | None) -> Mention | None:
    """Return the mention of a question in whose place something else is asked about."""
    found = mentions(question)
    words = set(phrase.lower().split())
    choices = (
        [item for item in found if words & set(item.phrase.lower().split())],
        [item for item in found if focus is not None and item.phrase == focus.phrase],
        [item for item in found if item.named],
        found,
    )
    return next((items[-1] for items in choices if items), None)
