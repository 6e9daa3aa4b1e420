"""Two-hop questions: one document states what the subject of another document did.

"Pariah is a film directed by Dee Rees." and "Dee Rees (born February 7, 1977) is a screenwriter."
give "When was the person who directed Pariah born?".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from expertrag.train.reader.made.cloze import cloze
from expertrag.train.reader.made.subjects import Subject
from expertrag.train.reader.made.types import Made

MAKER = "bridge"

_MOST_BETWEEN = 60  # characters of text before the name: "directed by the American director "
_BY = re.compile(
    r"\b(?:(?P<verb>directed|written|produced|created|composed|founded|formed|developed|designed|built"
    r"|owned|published|recorded|painted|invented|hosted|managed|coached|performed|sung|released)"
    r"|album|song|single|EP|novel|book|poem|play|opera|painting) by\b"
)
_ENDS = re.compile(r"[,.;()]|\band\b")
_PAST = {"written": "wrote", "sung": "sang"}


def bridges(found: Sequence[Subject]) -> Iterator[Made]:
    """Ask about the subject of a document, described by what another document says it did."""
    named = {item.name: item for item in found}
    pattern = _any_of(named)
    for item in found:
        for match in pattern.finditer(item.piece.text):
            other = named[match[0]]
            did = _did(item.piece.text[: match.start()])
            if did and other.name not in item.name and item.name not in other.name:
                yield from _asked(f"{did} {item.name}", item, other)


def _any_of(names: dict[str, Subject]) -> re.Pattern[str]:
    longest = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest)) or '(?!)'})(?!\w)")


def _did(before: str) -> str:
    """Return what was done "by" the name that follows this text; empty if it does not say."""
    near = before[-_MOST_BETWEEN:]
    last = next(iter(reversed([*_BY.finditer(near)])), None)
    if last is None or _ENDS.search(near[last.end() :]):
        return ""
    verb = last["verb"] or "made"
    return _PAST.get(verb, verb)


def _asked(did: str, item: Subject, other: Subject) -> Iterator[Made]:
    """Ask what the other document says about its subject, with the name replaced."""
    if other.born:
        question = f"When was the person who {did} born?"
        yield Made(question, other.born, other.piece, MAKER, supporting=item.piece)
    instead = f"the {'person who' if other.born else 'one that'} {did}"
    for made in cloze(other.piece):
        if not made.sentence and made.question.count(other.name) == 1:
            question = made.question.replace(other.name, instead)
            yield Made(question, made.answer, other.piece, MAKER, supporting=item.piece)
