"""Questions that compare the subjects of two documents: are both of a kind, and which was first."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

from expertrag.train.reader.made.subjects import Subject
from expertrag.train.reader.made.types import Made

MAKER = "comparison"

_MOST = 400  # per store: more add nothing new
_COMMON = 8  # documents with the same noun, from which the noun is taken to name a kind


def comparisons(among: Sequence[Subject], seed: int) -> list[Made]:
    """Compare the subjects of documents with others of the same kind and of other kinds."""
    rng = random.Random(seed)
    alike: dict[str, list[Subject]] = defaultdict(list)
    for item in among:
        alike[item.noun].append(item)
    found = [item for some in alike.values() if len(some) >= _COMMON for item in some]
    made: list[Made] = []
    for item in rng.sample(found, len(found)):
        other = rng.choice([other for other in alike[item.noun] if other.name != item.name])
        made += _compared(item, other, rng)
        other = rng.choice(found)
        if item.noun not in other.piece.text.lower() and other.name != item.name:
            question = f"Are {item.name} and {other.name} both {_plural(item.noun)}?"
            made.append(Made(question, "no", item.piece, MAKER, supporting=other.piece))
    return made[:_MOST]


def _compared(one: Subject, other: Subject, rng: random.Random) -> Iterator[Made]:
    """Compare two subjects of the same kind."""
    both = f"{one.name} and {other.name}"
    either = f"{one.name} or {other.name}"
    question = f"Are {both} both {_plural(one.noun)}?"
    yield Made(question, "yes", one.piece, MAKER, supporting=other.piece)
    if one.born and other.born and one.year != other.year:
        older, younger = sorted((one, other), key=lambda item: item.year)
        asked, first = rng.choice(
            [
                (f"Who was born first, {either}?", older),
                (f"Who is older, {either}?", older),
                (f"Who is younger, {either}?", younger),
            ]
        )
        yield _chosen(asked, first, one, other)
    elif one.began and other.began and one.began[0] == other.began[0] and one.began != other.began:
        verb = one.began[0]
        first = min(one, other, key=lambda item: item.began[1] if item.began else 0)
        yield _chosen(f"Which {one.noun} was {verb} first, {either}?", first, one, other)


def _chosen(question: str, answer: Subject, one: Subject, other: Subject) -> Made:
    supporting = other if answer is one else one
    return Made(question, answer.name, answer.piece, MAKER, supporting=supporting.piece)


def _plural(noun: str) -> str:
    if noun.endswith(("ch", "sh", "x", "z")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun[:-3]}men" if noun.endswith("man") else f"{noun}s"
