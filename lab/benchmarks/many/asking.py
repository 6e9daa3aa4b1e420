"""Collect the questions of a folder."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from many.question import (
    AGGREGATE,
    COMPARE,
    COUNT,
    DOCUMENT,
    EXISTS,
    GERMAN,
    LATEST,
    LIST,
    LOOKUP,
    PLAIN,
    TABLE,
    TWO_HOPS,
    TYPOS,
    Forms,
    Question,
)

Item = TypeVar("Item")
_WORD = re.compile(r"\b[a-zäöü]{5,}\b")


@dataclass(slots=True)
class Asking:
    """Questions of a folder in the order in which they are added.

    ``basis`` is the basis of the next questions, see ``question.BASES``.
    """

    folder: str
    language: str = PLAIN
    basis: str = TABLE
    questions: list[Question] = field(default_factory=list)

    def lookup(self, text: str, *answers: str, **more: Any) -> None:
        """Ask for a fact; ``answers`` are the forms of one value."""
        self._add(LOOKUP, text, needed=(answers,), **more)

    def list(
        self, text: str, items: Iterable[Forms], universe: Iterable[Forms], **more: Any
    ) -> None:
        """Ask for all items that match."""
        self._add(LIST, text, needed=tuple(items), universe=tuple(universe), **more)

    def count(self, text: str, number: int, **more: Any) -> None:
        """Ask how many match."""
        self._add(COUNT, text, numbers=(float(number),), **more)

    def total(self, text: str, *numbers: float, **more: Any) -> None:
        """Ask for a sum, an average or an extreme value; several numbers are all needed."""
        self._add(AGGREGATE, text, numbers=tuple(round(x, 4) for x in numbers), **more)

    def most(self, text: str, name: Forms, universe: Iterable[Forms], **more: Any) -> None:
        """Ask who or what has the largest or smallest value."""
        self._add(AGGREGATE, text, needed=(name,), universe=tuple(universe), **more)

    def exists(self, text: str, verdict: bool, items: Iterable[Forms] = (), **more: Any) -> None:
        """Ask whether any, or every one, matches; ``items`` are those that show it."""
        self._add(EXISTS, text, verdict=verdict, needed=tuple(items), **more)

    def compare(self, text: str, *needed: Forms, universe: Iterable[Forms] = ()) -> None:
        """Ask for a comparison; a universe has the things compared if one of them is the answer."""
        self._add(COMPARE, text, needed=needed, universe=tuple(universe))

    def latest(self, text: str, *answers: str, stale: Forms, **more: Any) -> None:
        """Ask for the value that is in force."""
        more.setdefault("scopes", (LATEST, LOOKUP))
        self._add(LATEST, text, needed=(answers,), stale=stale, **more)

    def two_hops(self, text: str, *answers: str, **more: Any) -> None:
        """Ask for a fact about something that another document names."""
        self._add(TWO_HOPS, text, needed=(answers,), **more)

    def document(self, text: str, facts: Iterable[Forms], **more: Any) -> None:
        """Ask for a whole document."""
        self._add(DOCUMENT, text, needed=tuple(facts), **more)

    def _add(self, kind: str, text: str, **more: Any) -> None:
        style = TYPOS if more.pop("typos", False) else self.language
        style = GERMAN if more.pop("german", False) else style
        number = sum(item.kind == kind for item in self.questions) + 1
        self.questions.append(
            Question(
                f"{self.folder}-{kind}-{number:02}",
                self.folder,
                kind,
                more.pop("basis", self.basis),
                mistyped(text) if style == TYPOS else text,
                style=style,
                scopes=more.pop("scopes", (kind,)),
                **more,
            )
        )


def extreme(items: Iterable[Item], key: Callable[[Item], Any], *, least: bool = False) -> Item:
    """Return the item with the largest or smallest value.

    :raises ValueError: two items share it, so that a question for it has two answers.
    """
    first, second, *_ = sorted(items, key=key, reverse=not least)
    if key(first) == key(second):
        raise ValueError(f"{first} and {second} are tied")
    return first


def mistyped(text: str) -> str:
    """Swap, drop or double a letter in two words of a question, never in names or numbers."""
    chance = random.Random(text)
    places = [match for match in _WORD.finditer(text) if match.start() > 0]
    for match in sorted(chance.sample(places, min(2, len(places))), key=lambda m: -m.start()):
        at = match.start() + chance.randrange(1, len(match[0]) - 2)
        pair = text[at : at + 2]
        form = chance.choice((pair[::-1], pair[1], pair[0] + pair))
        text = text[:at] + form + text[at + 2 :]
    return text
