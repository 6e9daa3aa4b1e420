"""A question about a folder, and what its answer needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LOOKUP, LIST, COUNT, AGGREGATE = "lookup", "list", "count", "aggregate"
EXISTS, COMPARE, LATEST = "exists", "compare", "latest"
TWO_HOPS, DOCUMENT = "two_hops", "document"
KINDS = (LOOKUP, LIST, COUNT, AGGREGATE, EXISTS, COMPARE, LATEST, TWO_HOPS, DOCUMENT)
OVER_SETS = (LIST, COUNT, AGGREGATE, EXISTS)
"""Kinds whose answer says whether it is complete."""

TABLE, FIELDS, PROSE = "table", "fields", "prose"
BASES = (TABLE, FIELDS, PROSE)
"""Where the facts stand: in rows, in front matter or records, or in sentences."""

CHOOSE, TEST = "choose", "test"
SPLITS = (CHOOSE, TEST)
PLAIN, TYPOS, GERMAN = "plain", "typos", "german"
STYLES = (PLAIN, TYPOS, GERMAN)

Forms = tuple[str, ...]
"""Accepted forms of one name or value."""
Files = Mapping[str, bytes]
"""Contents of a folder by path."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its answer.

    ``needed``: each must be named: the items of a list, the key facts of a document, both values of
    a comparison. ``universe``: everything that could be named, to tell wrong items from right ones.
    ``numbers`` must all be stated. ``rounded``: a number may have fewer decimals. ``verdict``: yes
    or no. ``stale``: values of older versions. ``scopes``: classes that are accepted; the first is
    the kind. ``filter``: fields that the documents must have.
    """

    id: str
    folder: str
    kind: str
    basis: str
    text: str
    needed: tuple[Forms, ...] = ()
    universe: tuple[Forms, ...] = ()
    numbers: tuple[float, ...] = ()
    rounded: bool = False
    verdict: bool | None = None
    stale: Forms = ()
    style: str = PLAIN
    scopes: tuple[str, ...] = ()
    split: str = ""
    filter: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """What is asked, to find a kept answer."""
        return self.text + "".join(f" {name}={value}" for name, value in self.filter)

    @property
    def expected(self) -> list[object]:
        """The answer, to read in a file of answers."""
        verdict = [] if self.verdict is None else ["yes" if self.verdict else "no"]
        return [*verdict, *self.numbers, *(forms[0] for forms in self.needed)]
