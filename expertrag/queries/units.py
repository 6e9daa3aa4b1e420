"""Units and currencies in questions and columns, and number words before a unit."""

from __future__ import annotations

import re

from expertrag.queries.vocabulary import fold

_SECONDS = {
    "second": 1,
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_629_800,
    "year": 31_557_600,
}
_SIZES = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "pb": 1e15}
_SPELLINGS = {
    "second": "second seconds sec secs sekunde sekunden",
    "minute": "minute minutes min mins minuten",
    "hour": "hour hours h hr hrs stunde stunden",
    "day": "day days tag tage tagen",
    "week": "week weeks woche wochen",
    "month": "month months monat monate monaten",
    "year": "year years jahr jahre jahren",
    **{size: size for size in _SIZES},
}
_UNITS = {fold(word): unit for unit, words in _SPELLINGS.items() for word in words.split()}

CURRENCIES = {
    "GBP": "gbp pound pounds sterling pfund £",
    "EUR": "eur euro euros €",
    "USD": "usd dollar dollars us-dollar $",
    "CHF": "chf franc francs franken",
    "JPY": "jpy yen ¥",
    "NOK": "nok",
    "SEK": "sek",
    "DKK": "dkk",
    "PLN": "pln zloty",
    "CZK": "czk",
    "CNY": "cny yuan renminbi",
    "INR": "inr rupee rupees",
}
_CURRENCY_OF = {word: code for code, words in CURRENCIES.items() for word in words.split()}

_NUMBER_WORDS = {
    word: number
    for number, words in enumerate(
        (
            "one eins",
            "two zwei",
            "three drei",
            "four vier",
            "five fünf",
            "six sechs",
            "seven sieben",
            "eight acht",
            "nine neun",
            "ten zehn",
            "eleven elf",
            "twelve zwölf",
        ),
        1,
    )
    for word in words.split()
}
_BEFORE_UNIT = re.compile(
    rf"\b(?P<number>{'|'.join(_NUMBER_WORDS)})\s+"
    rf"(?P<unit>{'|'.join(sorted(_UNITS, key=len)[::-1])})\b",
    re.IGNORECASE,
)


_BEFORE_MOST = re.compile(
    rf"\b(?P<number>{'|'.join(_NUMBER_WORDS)})\s+(?P<unit>(?:most|least|fewest|\w+est|\w+sten)\b)",
    re.IGNORECASE,
)


def currency_of(word: str) -> str | None:
    """Return the code of a currency by a folded word; None if it is not a currency."""
    return _CURRENCY_OF.get(word)


def unit_of(word: str) -> str | None:
    """Return the unit that a folded word means; None if it is not a unit."""
    return _UNITS.get(word)


def convert(number: float, unit: str | None, wanted: str | None) -> float:
    """Return a number in another unit; unchanged if the units cannot be converted."""
    if unit is None or wanted is None or unit == wanted:
        return number
    for factors in (_SECONDS, _SIZES):
        if unit in factors and wanted in factors:
            return number * factors[unit] / factors[wanted]
    return number


def write_digits(question: str) -> str:
    """Write number words before a unit or a superlative as digits: "6 months", "3 largest"."""

    def write(match: re.Match[str]) -> str:
        return f"{_NUMBER_WORDS[match['number'].casefold()]} {match['unit']}"

    return _BEFORE_MOST.sub(write, _BEFORE_UNIT.sub(write, question))
