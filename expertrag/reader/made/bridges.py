"""Questions over two documents, of which one says what the other's subject has done.

"Pariah is a film directed by Dee Rees." and "Dee Rees (born February 7, 1977) is a screenwriter."
give "When was the person who directed Pariah born?".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from expertrag.reader.made.cloze import cloze
from expertrag.reader.made.subjects import Subject, subjects
from expertrag.reader.made.types import Made, Piece

MAKER = "bridge"

_MOST_BETWEEN = 60  # characters between "by" and the name: "by the American director "
_DONE = re.compile(
    r"\b(?P<verb>directed|written|produced|created|composed|founded|formed|developed|designed|built"
    r"|owned|published|recorded|painted|invented|hosted|managed|coached|performed|sung|released)"
    r" by\b"
)
_WORK = re.compile(r"\b(?:album|song|single|EP|novel|book|poem|play|opera|painting) by\b")
_PAST = {"written": "wrote", "sung": "sang"}


def bridges(pieces: Sequence[Piece]) -> Iterator[Made]:
    """Ask about the subject of one document by what another one says that it did."""
    found = subjects(pieces)
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
    """Say what was done "by" whoever is named behind this text; empty where that is not said."""
    near = before[-_MOST_BETWEEN:]
    done = [*_DONE.finditer(near)]
    if done and not re.search(r"[,.;()]|\band\b", near[done[-1].end() :]):
        return _PAST.get(done[-1]["verb"], done[-1]["verb"])
    work = [*_WORK.finditer(near)]
    if work and not re.search(r"[,.;()]|\band\b", near[work[-1].end() :]):
        return "made"
    return ""


def _asked(did: str, item: Subject, other: Subject) -> Iterator[Made]:
    """Ask what the other document says of its subject, without its name."""
    if other.born:
        question = f"When was the person who {did} born?"
        yield Made(question, other.born, other.piece, MAKER, beside=item.piece)
    instead = f"the {'person who' if other.born else 'one that'} {did}"
    for made in cloze(other.piece):
        if not made.sentence and made.question.count(other.name) == 1:
            question = made.question.replace(other.name, instead)
            yield Made(question, made.answer, other.piece, MAKER, beside=item.piece)
