"""Values in a text: amounts, dates, times of day and periods, however they are written.

Two texts say the same value if they have the same words for it. "€70", "70 euros" and "EUR 70.00"
are all "70 eur". "2:15 am", "02:15" and the crontab entry "15 2 * * *" are all "02:15".
"""

from __future__ import annotations

from collections.abc import Callable

from expertrag.grounding.values import amounts, times, units
from expertrag.grounding.values.amounts import units_named, with_units
from expertrag.grounding.values.times import whole_dates
from expertrag.grounding.values.units import Unit
from expertrag.grounding.values.value import Value

__all__ = [
    "Unit",
    "Value",
    "may_begin_value",
    "units_named",
    "value_at",
    "whole_dates",
    "with_units",
]

_Reader = Callable[[str, int], Value | None]

_OF_DIGITS: tuple[_Reader, ...] = (
    times.cron_at,
    times.date_at,
    times.time_at,
    amounts.amount_at,
)
_OF_WORDS: dict[str, _Reader] = {
    **dict.fromkeys(amounts.BEGINNINGS, amounts.amount_in_words_at),
    **dict.fromkeys(units.MONEY, amounts.money_at),
    **dict.fromkeys(("v", "version"), amounts.version_at),
    **dict.fromkeys(times.DATE_WORDS, times.date_by_name_at),
    **dict.fromkeys(times.TIME_WORDS, times.time_by_name_at),
    **dict.fromkeys(times.PERIOD_WORDS, times.period_at),
}


def may_begin_value(word: str) -> bool:
    """Return whether a word in small letters may begin a value."""
    return word[0].isdecimal() or word in _OF_WORDS


def value_at(text: str, start: int, word: str) -> Value | None:
    """Read the value that begins with a word.

    :param start: where the word begins in the text.
    :param word: the word in small letters.
    """
    if word[0].isdecimal():
        return next((value for read in _OF_DIGITS if (value := read(text, start))), None)
    read = _OF_WORDS.get(word)
    return read(text, start) if read else None
