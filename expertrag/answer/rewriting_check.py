"""Check the question that a language model makes of a follow-up against the conversation.

A small model repeats the last question, answers the message, or invents what it is about. Its
question may not add a word or a number to the conversation. It may drop only the words of the
message that refer or correct.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from expertrag.conversation.words import APOSTROPHE, FUNCTION_WORDS, POLITE, REFERS, VERBS
from expertrag_index.words.porter import stem

_REFERENCE = re.compile(r"\b(?:this|that|these|those)\s+\w+", re.IGNORECASE)
_WORD = re.compile(r"\w+(?:[.'-]\w+)*")
_MOST_WORDS = 40
_TYPO = 0.75  # least similarity of a misspelt word, of at least _LONG letters, and its correction
_LONG = 4


def is_faithful(rewriting: str, message: str, turns: Iterable[str]) -> bool:
    """Return whether a rewriting of a message asks one question, in words of the conversation.

    :param turns: texts of the conversation that the model was shown.
    """
    text = rewriting.strip()
    if not text.endswith("?") or "?" in text[:-1] or "\n" in text:
        return False
    if len(text.split()) > _MOST_WORDS:
        return False
    said = [_words(turn) for turn in turns]
    sent, rewritten = _words(message), _words(text)
    if any(rewritten == words for words in said) and rewritten != sent:
        return False  # an earlier question
    known = {*sent, *(word for words in said for word in words)}
    new = [word for word in rewritten if word not in FUNCTION_WORDS | VERBS]
    named = _words(_REFERENCE.sub("", message))
    kept = [word for word in named if word not in FUNCTION_WORDS | POLITE | REFERS]
    return all(_among(word, known) for word in new) and all(
        _among(word, rewritten) or _is_misspelt(word) for word in kept
    )


def _words(text: str) -> list[str]:
    words = _WORD.findall(text.lower().replace(APOSTROPHE, "'"))
    return [word.removesuffix("'s") for word in words]


def _among(word: str, others: Iterable[str]) -> bool:
    return any(_alike(word, other) for other in others)


def _alike(one: str, other: str) -> bool:
    """Return whether two words are the same but for inflection or a slip of the keyboard."""
    if one == other or stem(one) == stem(other):
        return True
    if one.isalpha() and other.isalpha() and min(len(one), len(other)) >= _LONG:
        return SequenceMatcher(None, one, other).ratio() >= _TYPO
    return False


def _is_misspelt(word: str) -> bool:
    """Return whether a word is a function word with swapped letters, such as "hwo"."""
    return sorted(word) in _LETTERS


_LETTERS = [sorted(word) for word in FUNCTION_WORDS]
