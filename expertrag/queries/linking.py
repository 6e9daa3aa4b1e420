"""Link the words of a question with the tables of a store: names, columns, values, periods.

A query may hold only what is linked here. A table understands a question if each of its words is
linked, or is about the asking.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise

from expertrag.queries.periods import NamedPeriod, find_periods, find_years
from expertrag.queries.synonyms import KNOWN_WORDS, have_same_meaning
from expertrag.queries.units import currency_of, unit_of, write_digits
from expertrag.queries.vocabulary import Word, correct_words, fold, same_word, words_of
from expertrag_index.tables.cells import amount_of
from expertrag_index.tables.database import Column, StoreTable
from expertrag_index.tables.families import DOCUMENTS, FILE, TITLE
from expertrag_index.words.porter import stem

_NUMBER = re.compile(
    r"(?<![\w.,-])(?:[\u20ac$\u00a3]\s?|(?:EUR|USD|GBP|CHF)\s)?"
    r"(?P<digits>\d[\d.,'\u2019]*\d|\d)"
    r"(?P<scale>\s?(?:k|thousand|tausend|million|millionen|m)\b)?",
    re.IGNORECASE,
)
_SCALES = {"k": 1_000, "thousand": 1_000, "tausend": 1_000}

_LONGEST_NAME = 4
"""Most words of a name."""

_LEAST_MISTYPED = 6
"""Letters of a value that may be mistyped."""

_LEAST_OF_COMPOUND = 9
"""Letters of a compound, such as "Parkgebühren" for "Parken"."""

MOST_CONTAINED = 2
"""Most words of a question that are looked for in the texts of rows."""


@dataclass(frozen=True, slots=True)
class ValueLink:
    """Words of a question that name a value of a column.

    ``exact``: whether all of the value's words are in the question.
    """

    column: Column
    value: str
    words: tuple[Word, ...]
    exact: bool = True


@dataclass(frozen=True, slots=True)
class NumberLink:
    """A number of a question that is not part of a date; ``unit``: the word after it, if a unit."""

    number: int | float
    start: int
    end: int
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class QuestionParts:
    """What every table is linked with."""

    question: str
    words: tuple[Word, ...]
    periods: tuple[NamedPeriod, ...]
    numbers: tuple[NumberLink, ...]

    @classmethod
    def of(cls, question: str, today: date) -> QuestionParts:
        """Read the periods and numbers of a question; its words are what they leave."""
        question = write_digits(correct_words(question, KNOWN_WORDS))
        periods = find_periods(question, today)
        spans = [(period.start, period.end) for period in periods]
        numbers = tuple(_numbers(question, spans))
        spans += [(number.start, number.end) for number in numbers]
        words = tuple(
            word
            for word in words_of(question)
            if all(word.end <= start or word.start >= end for start, end in spans)
        )
        return cls(question, words, periods, numbers)


@dataclass(frozen=True, slots=True)
class TableLink:
    """A table, and what of a question is linked with it.

    ``unlinked``: words that are neither linked nor about the asking. ``named``: words that name
    the table. ``contained``: words that are looked for in the texts of the rows, for want of a
    better link. ``ignored``: words that are left out.
    """

    table: StoreTable
    parts: QuestionParts
    named: tuple[Word, ...]
    columns: tuple[tuple[Column, tuple[Word, ...]], ...]
    values: tuple[ValueLink, ...]
    unlinked: tuple[Word, ...]
    contained: tuple[Word, ...] = ()
    ignored: tuple[Word, ...] = ()

    @property
    def looks_inside(self) -> TableLink | None:
        """The same link with unlinked words looked for in the rows; None if that says little.

        The rows of a family are documents, of which the table holds only a few fields.
        """
        first = [fold(word.text) for word in words_of(split_name(self.table.names[0]))]
        named = any(
            not word.asks and any(_names(word, name) for name in first) for word in self.named
        )
        if self.table.is_family or not named or len(self.unlinked) > MOST_CONTAINED:
            return None
        link = replace(self, unlinked=(), contained=self.unlinked)
        return link if link.understood else None

    @property
    def ignores_word(self) -> TableLink | None:
        """The same link without the only word that is not linked; None if others tell too little.

        It may be a typing error, or say again what a linked word says.
        """
        linked = {word for value in self.values for word in value.words} | set(self.named)
        if self.table.is_family or len(self.unlinked) != 1 or not self.values or len(linked) < 2:
            return None
        link = replace(self, unlinked=(), ignored=self.unlinked)
        return link if link.understood else None

    @property
    def shares_words(self) -> bool:
        """Whether the table has any word of the question: its name, a column, or a value.

        Words of a title do not count: they are about one document.
        """
        is_all = self.table.is_family and self.table.names == DOCUMENTS
        named = any(not word.asks for word in self.named)
        columns = [column for column, _ in self.columns]
        columns += [link.column for link in self.values]
        linked = any(column.name not in (FILE, TITLE) for column in columns)
        return not is_all and (named or linked)

    @property
    def periods(self) -> tuple[NamedPeriod, ...]:
        """The periods that the rows are compared with.

        A year that the table's name has, or the name of a column in question, is the year of all
        rows: "Hours given in 2024". If the question names a column of dates, it is compared.
        """
        columns = [column for column, _ in self.columns]
        if any(column.kind == "date" for column in columns):
            return self.parts.periods
        years = {*find_years(" ".join((*self.table.names, *(one.name for one in columns))))}
        return tuple(period for period in self.parts.periods if period.year not in years)

    @property
    def understood(self) -> bool:
        """Whether all of the question is linked with this table."""
        kinds = {column.kind for column in self.table.columns}
        if self.periods and "date" not in kinds:
            return False
        if self.parts.numbers and "number" not in kinds:
            return False
        return not self.unlinked and self._is_meant

    @property
    def _is_meant(self) -> bool:
        """Whether the question is about the rows of this table.

        A title alone does not say so: a question about a document is not about its family.
        """
        if self.named:
            return True
        if self.table.is_family and self.table.names == DOCUMENTS:
            return False
        values = [link for link in self.values if link.column.name not in (FILE, TITLE)]
        told = len(self.columns) + len(self.parts.periods) + len(self.parts.numbers)
        return bool(values) or (bool(self.columns) and told > 1 and not self.table.is_family)

    @property
    def score(self) -> float:
        """How much of the question is linked; higher is better."""
        kinds = {column.kind for column in self.table.columns}
        value_words = {word for link in self.values for word in link.words}
        column_words = {word for _, words in self.columns for word in words}
        named = self.named if self.table.names[0] != DOCUMENTS[0] else self.named[:1]
        score = 2.0 * len(named) + 1.5 * len(value_words) + 1.2 * len(column_words)
        score += 1.5 * len(self.parts.periods) * ("date" in kinds)
        score += 1.0 * len(self.parts.numbers) * ("number" in kinds)
        return score - 1.5 * len(self.unlinked)


def link_tables(parts: QuestionParts, tables: Sequence[StoreTable]) -> list[TableLink]:
    """Link a question with each table; the best link first."""
    known = _find_known_words(parts.words, tables)
    links = [link_table(parts, table, known) for table in tables]
    return sorted(links, key=lambda link: (link.score, -len(link.table.columns)), reverse=True)


def _find_known_words(words: Sequence[Word], tables: Iterable[StoreTable]) -> frozenset[str]:
    """Return the words that are the name of a table or column: these have no typing error."""
    names = {name for table in tables for name in _names_of(table)}
    names |= {
        word.folded
        for table in tables
        for column in table.columns
        for word in words_of(split_name(column.name))
    }
    stems = {stem(name) for name in names}
    return frozenset(word.folded for word in words if stem(word.folded) in stems)


def _names_of(table: StoreTable) -> set[str]:
    words = (word for name in table.names for word in words_of(split_name(name)))
    return {word.folded for word in words if not word.asks}


def link_table(
    parts: QuestionParts, table: StoreTable, known: frozenset[str] = frozenset()
) -> TableLink:
    """Link a question with one table.

    :param known: folded words that are written correctly.
    """
    names = _names_of(table)
    named = tuple(word for word in parts.words if any(_names(word, name, known) for name in names))
    columns = tuple(_link_columns(parts.words, table.columns, known))
    plain = {word.folded for word in parts.words}
    values = tuple(
        link
        for link in _link_values(parts.words, table.columns)
        if (link.exact or not set(named).issuperset(link.words))
        and not _is_column_name(link, columns, plain)
    )
    linked = {*named, *(word for _, words in columns for word in words)}
    linked |= {word for link in values for word in link.words}
    numeric = any(column.kind == "number" for column in table.columns)
    linked |= set(_unit_words(parts.words)) if numeric else set()
    unlinked = tuple(word for word in parts.words if word not in linked and not word.asks)
    return TableLink(table, parts, named, columns, values, unlinked)


def _names(word: Word, name: str, known: frozenset[str] = frozenset()) -> bool:
    """Return whether a word of a question names a table or a column."""
    asked = word.folded
    same = stem(asked) == stem(name) if asked in known else same_word(asked, name)
    return same or have_same_meaning(asked, name)


def _link_columns(
    words: Sequence[Word], columns: Iterable[Column], known: frozenset[str]
) -> Iterator[tuple[Column, tuple[Word, ...]]]:
    for column in columns:
        names = [word.folded for word in words_of(split_name(column.name))]
        own = tuple(
            word
            for word in words
            if any(_names(word, name, known) for name in names if len(name) > 1)
        )
        unit = column.unit and tuple(w for w in words if same_word(w.folded, fold(column.unit)))
        if own or unit:
            yield column, tuple(dict.fromkeys((*own, *(unit or ()))))


def _is_column_name(
    link: ValueLink, columns: Sequence[tuple[Column, tuple[Word, ...]]], plain: set[str]
) -> bool:
    """Return whether a word is the name of a column, and only resembles a value: "opened"."""
    if len(link.words) > 1 or fold(link.value) in plain:
        return False
    word = link.words[0].folded
    return any(
        fold(name.text) == word
        for column, _ in columns
        for name in words_of(split_name(column.name))
    )


def split_name(name: str) -> str:
    """Return a name of a file or a column with spaces between its words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[-_.]", " ", name)


def _unit_words(words: Sequence[Word]) -> Iterator[Word]:
    """Yield units and currencies, with the country of a currency: "Swiss francs"."""
    for before, word in pairwise([None, *words]):
        assert word is not None
        is_currency = currency_of(word.folded) is not None
        if is_currency or unit_of(word.folded) is not None:
            yield word
        if before and is_currency and before.end + 1 == word.start and before.text[0].isupper():
            yield before


def _link_values(words: Sequence[Word], columns: Iterable[Column]) -> Iterator[ValueLink]:
    for column in columns:
        if column.kind != "text":
            continue
        best: dict[tuple[Word, ...], list[ValueLink]] = {}
        for value in column.values:
            if link := _link_value(words, column, value):
                best.setdefault(link.words, []).append(link)
        for links in best.values():
            exact = [link for link in links if link.exact]
            written = [link for link in exact if _is_written(link)]
            yield from written or exact or links


def _is_written(link: ValueLink) -> bool:
    """Return whether a value is written as in the question, not inflected or mistyped."""
    return [word.folded for word in link.words] == [
        fold(part.text) for part in words_of(link.value)
    ]


def _link_value(words: Sequence[Word], column: Column, value: str) -> ValueLink | None:
    """Link words with a value: all of its words, or one that is a name or not about the asking."""
    parts = [word.folded for word in words_of(value)]
    if not parts or len(parts) > 12:
        return None
    used: list[Word] = []
    for part in parts:
        match = next((w for w in words if w not in used and _names_value(w, part)), None)
        if match is not None:
            used.append(match)
    if not used:
        return None
    exact = len(used) == len(parts)
    content = [word for word in used if not word.asks]
    if not content and not (exact and len(parts) == 1):
        return None
    is_title = column.name in (FILE, TITLE)
    if not exact and (is_title or not _tells_value(value, content)):
        return None
    if len(content) < 2 < len(parts) and not _is_name(value):  # "From a tenant" by "tenant"
        return None
    used.sort(key=lambda word: word.start)
    return ValueLink(column, value, tuple(used), exact)


def _tells_value(value: str, content: Sequence[Word]) -> bool:
    """Return whether some words of a value tell which it is: half of a name, or most of a text."""
    words = [word for word in words_of(value) if not word.asks]
    share = len(content) / max(len(words), 1)
    return share >= (1 / _LONGEST_NAME if _is_name(value) else 0.6)


def _is_name(value: str) -> bool:
    words = words_of(value)
    return len(words) <= _LONGEST_NAME and all(not word.text[:1].islower() for word in words)


def _names_value(word: Word, part: str) -> bool:
    """Return whether a word names a word of a value; a compound may begin with it."""
    asked = word.folded
    if currency_of(part) is not None:
        return currency_of(asked) == currency_of(part)
    if len(asked) <= 3 or len(part) <= 3:
        return asked == part
    if asked[0] != part[0]:  # such words are one only by a typing error in the first letters
        is_close = abs(len(asked) - len(part)) <= 1
        return is_close and min(len(asked), len(part)) >= _LEAST_MISTYPED and same_word(asked, part)
    root = part[: max(4, len(part) - 2)]
    is_compound = len(asked) >= _LEAST_OF_COMPOUND and not word.asks and asked.startswith(root)
    if is_compound or stem(asked) == stem(part):
        return True
    # "money" is not "Monty": only a longer word may have a typing error
    return min(len(asked), len(part)) >= _LEAST_MISTYPED and same_word(asked, part)


def _numbers(question: str, spans: Sequence[tuple[int, int]]) -> Iterator[NumberLink]:
    for match in _NUMBER.finditer(question):
        if any(match.start() < end and match.end() > start for start, end in spans):
            continue
        amount = amount_of(match["digits"])
        if amount is None:
            continue
        scale = (match["scale"] or "").strip().casefold()
        factor = _SCALES.get(scale, 1_000_000) if scale else 1
        following = next(iter(words_of(question[match.end() : match.end() + 16])), None)
        unit = unit_of(following.folded) if following else None
        yield NumberLink(amount.number * factor, match.start(), match.end(), unit)
