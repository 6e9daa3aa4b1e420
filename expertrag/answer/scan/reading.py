"""Read one attribute of one document with the model: one token where code finds the values.

Dates, amounts and durations are found by code and marked with letters, and the model says which
letter is the attribute. Of the 48 values of twelve contracts, 47 were right so, and 44 when the
model copied them. A letter takes half the time, and its probability compares all values. Yes or no
is one token as well. Only a name is copied, as words of the document under a grammar.
"""

from __future__ import annotations

import json
import math
import string
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import replace

from expertrag.answer.scan.excerpts import Excerpt
from expertrag.answer.scan.plan import Attribute
from expertrag.answer.scan.result import Reading
from expertrag.answer.scan.values import Kind, Normal
from expertrag.api.types import Constraint, Sampling
from expertrag.llm import quoting
from expertrag.llm.base import Message, Session

_LETTERS = string.ascii_uppercase
_NONE = "0"
_ONE_TOKEN = Sampling(max_tokens=1, logprobs=20, frequency_penalty=0.0)
_NAME_TOKENS = 24
_YES, _NO = frozenset({"yes", "ja"}), frozenset({"no", "nein", "not"})
_NO_NAME = "not given"

Open = Callable[[list[Message], Sampling], Session]
"""Opens a session of the model for a prompt."""


def read_value(excerpt: Excerpt, attribute: Attribute, noun: str, open: Open) -> Reading:
    """Read which of the values of an excerpt is an attribute."""
    labels = _LETTERS[: len(excerpt.mentions)]
    name = _full_name(attribute, noun)
    marked = quoting.passage_text(excerpt.mark_values(lambda number: f"[{labels[number]}] "))
    messages = [
        Message(
            "system",
            f"Values in {noun} are marked with letters. Say which letter marks the "
            f"{name}. Say 0 if none does.",
        ),
        Message("user", f"{marked}\n\nWhich letter marks the {name}?"),
        Message("assistant", "Letter:"),
    ]
    shares = _first_token(messages, {*labels, _NONE}, open)
    if not shares:
        return Reading(p=0.0)
    by_value: dict[Normal | None, float] = {}
    for label, share in shares.items():  # a value may be marked twice
        value = None if label == _NONE else excerpt.mentions[labels.index(label)].normal
        by_value[value] = by_value.get(value, 0.0) + share
    best = max(by_value, key=by_value.__getitem__)
    reading = Reading(p=by_value[best], shares=tuple(by_value.items()))
    if best is None:
        return reading
    chosen = next(mention for mention in excerpt.mentions if mention.normal == best)
    return replace(reading, written=chosen.written, normal=best, start=chosen.start, end=chosen.end)


def read_yes_or_no(excerpt: Excerpt, attribute: Attribute, noun: str, open: Open) -> Reading:
    """Read whether an excerpt says so; ``p`` is the probability of yes."""
    question = attribute.name
    messages = [
        Message("system", f"You check {noun} one at a time. Question: {question} Reply yes or no."),
        Message("user", f"{quoting.passage_text(excerpt.plain)}\n\nQuestion: {question}"),
        Message("assistant", "Answer (yes or no):"),
    ]
    shares = _first_token(messages, {*_YES, *_NO}, open)
    yes = sum(shares.get(word, 0.0) for word in _YES)
    start, end = excerpt.best
    return Reading("yes" if yes > 0.5 else "no", None, yes if shares else 0.5, start, end)


def read_name(excerpt: Excerpt, attribute: Attribute, noun: str, open: Open) -> Reading:
    """Copy a name, or a few words, from an excerpt."""
    plain = quoting.passage_text(excerpt.plain)
    words = json.dumps(plain)
    grammar = f"""start: " " (NAME | "{_NO_NAME}")
NAME: WORDS & /.{{2,60}}/
WORDS: %regex {{"substring_words": {words}}}
"""
    messages = [
        Message(
            "system",
            f"Copy the {attribute.name} from {noun}, in a few words. Say {_NO_NAME} if there is "
            "none.",
        ),
        Message("user", f"{plain}\n\nWhat is the {attribute.name}?"),
        Message("assistant", f"{attribute.name.capitalize()}:"),
    ]
    sampling = Sampling(
        max_tokens=_NAME_TOKENS,
        frequency_penalty=0.0,
        logprobs=1,
        stop=("\n",),
        constraint=Constraint(grammar=grammar),
    )
    with closing(open(messages, sampling)) as session:
        deltas = list(session.deltas())
    written = "".join(delta.text for delta in deltas).strip(" .,;")
    tokens = [token.logprob for delta in deltas for token in delta.logprobs]
    p = math.exp(tokens[0]) if tokens else 0.0
    if not written or written == _NO_NAME:
        return Reading(p=p)
    start = excerpt.text.find(written)
    if start < 0:
        return Reading(written, written, p)
    return Reading(written, written, p, start, start + len(written))


READERS = dict.fromkeys(Kind, read_value) | {
    Kind.NAME: read_name,
    Kind.YESNO: read_yes_or_no,
}
"""How an attribute of each kind is read."""


def _full_name(attribute: Attribute, noun: str) -> str:
    """Return a name that says enough alone: the date of a meeting, not the date."""
    name = attribute.name
    if " " in name or not noun:
        return name
    if attribute.kind is Kind.DATE and "dat" not in name.lower():
        name = f"{name} date"
    return f"{name} of the {noun.removesuffix('s')}"


def _first_token(messages: list[Message], wanted: Collection[str], open: Open) -> dict[str, float]:
    """Return the probabilities of some replies as the first token, of these alone.

    No grammar is needed: the reply is read from the probabilities of the likeliest tokens.
    """
    with closing(open(messages, _ONE_TOKEN)) as session:
        deltas = list(session.deltas())
    shares: dict[str, float] = {}
    for token in (token for delta in deltas for token in delta.logprobs):
        for candidate in token.top:
            word = candidate.text.strip()
            word = word if word in wanted else word.lower()
            if word in wanted:
                shares[word] = shares.get(word, 0.0) + math.exp(candidate.logprob)
        break
    total = sum(shares.values())
    return {word: share / total for word, share in shares.items()} if total > 0.01 else {}
