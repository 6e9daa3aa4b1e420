"""Conditions on a value, and whether they hold; code compares, never the model."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from expertrag.answer.scan.periods import Period, parse_period
from expertrag.answer.scan.values import Kind, Normal, Quantity, find_mentions, parse_value


class Operator(StrEnum):
    """How a value is compared."""

    IS = "is"
    IS_NOT = "is not"
    BEFORE = "before"
    AFTER = "after"
    FROM = "from"
    UNTIL = "until"
    MORE_THAN = "more than"
    LESS_THAN = "less than"
    AT_LEAST = "at least"
    AT_MOST = "at most"


_LATER = (Operator.AFTER, Operator.MORE_THAN)
_EARLIER = (Operator.BEFORE, Operator.LESS_THAN)
_FROM = (Operator.FROM, Operator.AT_LEAST)
_UNTIL = (Operator.UNTIL, Operator.AT_MOST)
_WRITTEN = (
    (r"before|prior to|earlier than|vor(?: dem)?", Operator.BEFORE),
    (r"after|later than|nach(?: dem)?", Operator.AFTER),
    (r"since|from|as of|starting|ab(?: dem)?|seit(?: dem)?", Operator.FROM),
    (r"until|till|by|up to|bis(?: zum)?", Operator.UNTIL),
    (r"(?:more|longer|higher|greater|larger|bigger) than|over|above|exceed(?:s|ing)?|mehr als"
     r"|länger als|höher als|über", Operator.MORE_THAN),
    (r"(?:less|fewer|shorter|lower|smaller) than|under|below|weniger als|kürzer als|unter",
     Operator.LESS_THAN),
    (r"at least|no less than|not less than|mindestens", Operator.AT_LEAST),
    (r"at most|no more than|not more than|höchstens|maximal", Operator.AT_MOST),
)  # fmt: skip
_BEFORE_VALUE = tuple(
    (re.compile(rf"\b(?:{words})\s+(?:the |dem |der |EUR |USD |[€$£])*\Z", re.IGNORECASE), operator)
    for words, operator in _WRITTEN
)
_RANGE = re.compile(r"\b(?:between|from|zwischen|von|vom)\b.*\b(?:and|to|und|bis)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ValueCondition:
    """What a value must be; ``words`` as the question writes the value, ``normal`` is read."""

    operator: Operator
    words: str
    normal: Normal

    def holds(self, value: Normal) -> bool | None:
        """Return whether it holds for a value; None if the value is not exact enough to say."""
        if isinstance(value, Period) and isinstance(self.normal, Period):
            inside = _compare_periods(self.operator, self.normal, value)
        elif isinstance(value, Quantity) and isinstance(self.normal, Quantity):
            inside = _compare_amounts(self.operator, self.normal, value)
        elif isinstance(value, str) and isinstance(self.normal, str):
            inside = _same_name(self.normal, value)
        else:
            return None
        if self.operator is Operator.IS_NOT and inside is not None:
            return not inside
        return inside

    def __str__(self) -> str:
        return f"{self.operator} {self.words}"


def read_condition(
    kind: Kind, operator: Operator, words: str, question: str, today: datetime.date
) -> ValueCondition | None:
    """Return a condition; None if its value cannot be read.

    A word of the question in front of the value overrules the operator: the model that chose it
    sometimes takes "over" for "at least".

    :param words: the value, as the question writes it.
    """
    words = _whole(words.strip(" ?.,!"), question, kind)
    normal: Normal | None = None
    if kind is Kind.DATE:
        normal = parse_period(words, today)
    elif kind in (Kind.MONEY, Kind.NUMBER, Kind.DURATION):
        normal = _read_amount(words, kind)
    else:
        normal = parse_value(words, kind)
    if normal is None:
        return None
    if kind in (Kind.NAME, Kind.YESNO):
        return ValueCondition(operator, words, normal)
    return ValueCondition(_read_operator(words, question) or operator, words, normal)


def _whole(words: str, question: str, kind: Kind) -> str:
    """Return the whole date or amount of the question of which words are a part."""
    place = question.find(words)
    for mention in find_mentions(question, kind) if words and place >= 0 else ():
        first, last = min(place, mention.start), max(place + len(words), mention.end)
        if last - first < len(words) + mention.end - mention.start:  # they overlap
            return question[first:last]
    return words


def _read_amount(words: str, kind: Kind) -> Quantity | None:
    """Read an amount; a number without a unit is taken as it is."""
    for tried in (kind, Kind.MONEY, Kind.DURATION, Kind.NUMBER):
        normal = parse_value(words, tried)
        if isinstance(normal, Quantity):
            return normal
    return None


def _read_operator(words: str, question: str) -> Operator | None:
    """Return the operator that the question writes before a value, or at the value's beginning."""
    place = question.find(words)
    if place < 0:
        return None
    digits = re.search(r"[\d€$£]|\b[A-ZÄÖÜ]", words)
    before = question[: place + (digits.start() if digits else 0)]
    around = question[max(0, place - 10) : place + len(words)]
    if _RANGE.search(around):
        return Operator.IS
    for pattern, operator in _BEFORE_VALUE:
        if pattern.search(f"{before} " if not before.endswith(" ") else before):
            return operator
    return None


def _compare_periods(operator: Operator, wanted: Period, value: Period) -> bool | None:
    if wanted.yearless and not value.yearless:
        if value.first.year != value.last.year:
            return None
        value = value.in_year(wanted.first.year)
    elif value.yearless and not wanted.yearless:
        value = value.in_year(wanted.first.year)
        inside = _within(value, *_days(operator, wanted))
        return False if inside is False and operator in (Operator.IS, Operator.IS_NOT) else None
    return _within(value, *_days(operator, wanted))


def _days(operator: Operator, wanted: Period) -> tuple[datetime.date, datetime.date]:
    """Return the first and the last day that a condition admits."""
    one = datetime.timedelta(days=1)
    first, last = datetime.date.min, datetime.date.max
    if operator in _EARLIER:
        return first, wanted.first - one
    if operator in _LATER:
        return wanted.last + one, last
    if operator in _FROM:
        return wanted.first, last
    if operator in _UNTIL:
        return first, wanted.last
    return wanted.first, wanted.last


def _within(value: Period, first: datetime.date, last: datetime.date) -> bool | None:
    if first <= value.first and value.last <= last:
        return True
    if value.last < first or last < value.first:
        return False
    return None


def _compare_amounts(operator: Operator, wanted: Quantity, value: Quantity) -> bool | None:
    unit_of_wanted, unit_of_value = wanted.comparable[1], value.comparable[1]
    if unit_of_wanted and unit_of_wanted != unit_of_value:
        return None
    if unit_of_wanted:
        left, right = value.comparable[0], wanted.comparable[0]
    else:
        left, right = value.number, wanted.number
    return _compare_numbers(operator, left, right)


def _compare_numbers(operator: Operator, left: Decimal, right: Decimal) -> bool:
    if operator in _EARLIER:
        return left < right
    if operator in _LATER:
        return left > right
    if operator in _FROM:
        return left >= right
    if operator in _UNTIL:
        return left <= right
    return left == right


def _same_name(wanted: str, value: str) -> bool:
    """Return whether all words of one name are in the other."""
    left, right = (
        {word.casefold() for word in re.findall(r"\w+", name)} for name in (wanted, value)
    )
    return bool(left and right) and (left <= right or right <= left)
