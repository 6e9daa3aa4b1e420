"""Find the words of a question that refer to something outside of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from expertrag.conversation.mentions import is_function_word, is_verb, mentions
from expertrag.conversation.words import BE, BEFORE_THAT, NOT_NOUNS, TIMES

_TOKEN = re.compile(r"[\w'-]+|[^\w\s]")
_POSSESSIVES = {"its": False, "their": True}
_EXPLETIVE = re.compile(
    r"it(?:'s)?\s+(?:(?:is|was|be)\s+)?(?:(?:takes?|took|costs?)\b[^?.]*?\bto\b"
    r"|means?\s+(?:if|when|to|that)\b"
    r"|(?:\w+ly\s+)?(?:possible|necessary|true|safe|legal|worth|better|best|good|bad|hard|easy"
    r"|difficult|ok|okay|normal|common|important|required|advisable|recommended|useful)\s+"
    r"(?:that|if|when|for|to\s+(?!(?:the|our|my|your|his|her|their|its|an?|this)\b)))",
    re.IGNORECASE,
)
_BINDS = re.compile(
    r"[,;.:]|\b(?:before|after|when|while|if|because|since|and|or|but|unless|until|once|whether"
    r"|as)\b",
    re.IGNORECASE,
)
_NUMBERS = frozenset(("two", "three", "four", "both", "few"))


class Reference(StrEnum):
    """What kind of thing a word refers to."""

    THING = "thing"
    THINGS = "things"
    PERSON = "person"
    PLACE = "place"
    KIND = "kind"


@dataclass(frozen=True, slots=True)
class Anaphor:
    """A reference to something outside of a question, ``question[start:end]``.

    ``noun``: the noun of "this disease"; else empty.
    """

    start: int
    end: int
    reference: Reference
    possessive: bool = False
    noun: str = ""


def first_anaphor(question: str) -> Anaphor | None:
    """Return the first reference of a question to something that it does not name before."""
    tokens = list(_TOKEN.finditer(question))
    for number, token in enumerate(tokens):
        anaphor = _anaphor(tokens, number)
        if anaphor is None or _is_expletive(question, token):
            continue
        if not _is_bound(question, anaphor):
            return anaphor
    return None


def _anaphor(tokens: Sequence[re.Match[str]], number: int) -> Anaphor | None:
    word = tokens[number].group().lower()
    before = tokens[number - 1].group().lower() if number else ""
    following = tokens[number + 1].group() if number + 1 < len(tokens) else ""
    start, end = tokens[number].span()
    ends = not following[:1].isalnum()
    if word in _POSSESSIVES:
        plural = _POSSESSIVES[word]
        return Anaphor(start, end, Reference.THINGS if plural else Reference.THING, True)
    if word in {"he", "him", "she", "his", "her"}:
        owns = word == "his" or (word == "her" and not ends and not is_function_word(following))
        return Anaphor(start, end, Reference.PERSON, owns)
    if word in {"they", "them"}:
        return Anaphor(start, end, Reference.THINGS)
    if word in {"it", "it's"}:
        return Anaphor(start, start + 2, Reference.THING)
    if word in {"this", "that", "these", "those"}:
        return _demonstrative(tokens, number, before, following, ends=ends)
    if word in {"one", "ones"} and (ends or before == "which"):
        is_kind = before not in {"", "no", "any", "every", "the", "number", "version", "step"}
        return Anaphor(start, end, Reference.KIND) if is_kind else None
    if word == "there" and before not in BE and following.lower() not in BE | {"a", "any"}:
        return Anaphor(start, end, Reference.PLACE)
    return None


def _demonstrative(
    tokens: Sequence[re.Match[str]], number: int, before: str, following: str, *, ends: bool
) -> Anaphor | None:
    word = tokens[number].group().lower()
    start, end = tokens[number].span()
    reference = Reference.THINGS if word in {"these", "those"} else Reference.THING
    if word == "that" and before and before not in BEFORE_THAT:
        return None  # "the company that", "know that"
    if ends:
        return Anaphor(start, end, reference)
    next_word = following.lower()
    if next_word in {"who", "which", "that", "whose", "of", "with"} | TIMES:
        return None
    if (
        (is_function_word(following) and next_word not in _NUMBERS)
        or next_word in NOT_NOUNS
        or is_verb(following)
    ):
        return Anaphor(start, end, reference)
    noun = number + 1
    if next_word in _NUMBERS and noun + 1 < len(tokens):
        noun += 1
    return Anaphor(start, tokens[noun].end(), reference, noun=tokens[noun].group().lower())


def _is_expletive(question: str, token: re.Match[str]) -> bool:
    return _EXPLETIVE.match(question, token.start()) is not None


def _is_bound(question: str, anaphor: Anaphor) -> bool:
    """Return whether the question itself names, before a pronoun, what it refers to.

    Not in the same clause: in "the best exercise for it", something else is meant.
    """
    if anaphor.noun or anaphor.reference in {Reference.KIND, Reference.PLACE}:
        return False
    for item in mentions(question[: anaphor.start]):
        if not _BINDS.search(question, item.end, anaphor.start):
            continue
        if anaphor.reference is Reference.PERSON:
            if item.named:
                return True
        elif item.plural is (anaphor.reference is Reference.THINGS):
            return True
    return False
