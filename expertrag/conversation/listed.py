"""Name the items of a list that a message refers to: "the second one", "Which is cheaper?"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from expertrag.conversation.mentions import is_function_word, is_verb, mentions

_PLACES = {"first": 0, "former": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4}
_LAST = ("last", "latter")
_ORDINAL = re.compile(
    rf"\bthe\s+(?P<place>{'|'.join((*_PLACES, *_LAST))})\b(?P<one>\s+ones?\b)?"
    r"(?:\s+of\s+(?:them|these|those)\b)?(?P<next>\s+[\w'-]+)?",
    re.IGNORECASE,
)
_OTHER = re.compile(r"\bthe\s+other(?:\s+one)?(?=[\s?.!]*$|\s+one\b)", re.IGNORECASE)
_ONE_OF_TWO = [False, True]
_CHOICE = re.compile(
    r"which(?:\s+one)?(?:\s+of\s+(?:them|these|those|(?:the|these|those)\s+two))?\s+"
    r"(?:is|are|was|were|has|have|had|does|do|did|costs?|lasts?|weighs?|takes?|needs?|of)\b"
    r".*\b(?:more|most|less|least|fewer|better|best|worse|worst|\w{2,}(?:er|est))\b",
    re.IGNORECASE,
)
_ITEM = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*\u2022])\s+(.+)$", re.MULTILINE)
_AFTER_ITEM = re.compile(r"\s*[:;(\u2013\u2014]|\.?\s*$|\s-\s|,")
_SEPARATOR = re.compile(r"\s*,\s+(?:(?:and|or)\s+)?|\s+(?:and|or)\s+")
_JOINS = re.compile(r"(?:,|,?\s+(?:and|or|vs\.?|versus))\s+(?:(?:the|an?)\s+)?", re.IGNORECASE)
_ARTICLE = re.compile(r"(?:the|an?)\s+", re.IGNORECASE)
_MOST_WORDS = 5  # of an item
_MOST_CHOICES = 5


def items_of(question: str, answer: str) -> tuple[str, ...]:
    """Return what a short list of an answer names, or else two or more names of the question."""
    lines = [_AFTER_ITEM.split(line, maxsplit=1)[0] for line in _ITEM.findall(answer)]
    sentence = answer.strip().removesuffix(".").rpartition(": ")[2]
    for items in (lines, _SEPARATOR.split(sentence), _find_joined(question)):
        if len(items) > 1 and all(map(_is_item, items)):
            return tuple(map(_in_sentence, items))
    return ()


def are_named_in(question: str, items: Sequence[str]) -> list[bool]:
    """Return of each item whether a question names it."""
    return [item.lower() in question.lower() for item in items]


def with_items(question: str, last: str, items: Sequence[str]) -> str:
    """Return a question with the items of a list that it refers to; "" if it refers to none.

    :param last: the question before it, which asked of one item if this one asks of the other.
    """
    if len(items) < 2:
        return ""
    if (other := _OTHER.search(question)) and sorted(
        is_named := are_named_in(last, items)
    ) == _ONE_OF_TWO:
        return question[: other.start()] + items[is_named.index(False)] + question[other.end() :]
    if match := _ORDINAL.search(question):
        number = _PLACES.get(match["place"].lower(), len(items) - 1)
        if number < len(items) and _ends_phrase(match):
            end = match.start("next") if match["next"] else match.end()
            return question[: match.start()] + items[number] + question[end:]
    if len(items) <= _MOST_CHOICES and _CHOICE.match(question):
        return f"{question.rstrip(' ?.!')}, {', '.join(items[:-1])} or {items[-1]}?"
    return ""


def _ends_phrase(ordinal: re.Match[str]) -> bool:
    """Return whether an ordinal has no noun of its own, as in "the second step"."""
    following = (ordinal["next"] or "").strip()
    return (
        bool(ordinal["one"]) or not following or is_function_word(following) or is_verb(following)
    )


def _is_item(text: str) -> bool:
    article = _ARTICLE.match(text)
    words = text[article.end() if article else 0 :].split()
    return 0 < len(words) <= _MOST_WORDS and not any(
        (is_function_word(word) and word != "of") or is_verb(word) for word in words
    )


def _in_sentence(item: str) -> str:
    """Return an item as it is written inside a sentence: "The Ural" and "Fire safety" are not."""
    article = _ARTICLE.match(item)
    first, *others = item.split()
    small = first[1:].islower() and others and " ".join(others).islower()
    return item[0].lower() + item[1:] if article or small else item


def _find_joined(question: str) -> list[str]:
    """Return the names of a question between which there is nothing but "and" or a comma."""
    names = [item for item in mentions(question) if item.named]
    joined = [
        name
        for one, other in pairwise(names)
        if _JOINS.fullmatch(question[one.end : other.start])
        for name in (one.text, other.text)
    ]
    return list(dict.fromkeys(joined))
