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
_TENS = {
    word: 10 * number
    for number, words in enumerate(
        (
            "twenty zwanzig",
            "thirty dreißig",
            "forty vierzig",
            "fifty fünfzig",
            "sixty sechzig",
            "seventy siebzig",
            "eighty achtzig",
            "ninety neunzig",
        ),
        2,
    )
    for word in words.split()
}
_TEENS = {
    word: number
    for number, words in enumerate(
        (
            "thirteen dreizehn",
            "fourteen vierzehn",
            "fifteen fünfzehn",
            "sixteen sechzehn",
            "seventeen siebzehn",
            "eighteen achtzehn",
            "nineteen neunzehn",
        ),
        13,
    )
    for word in words.split()
}
_LARGE = {"hundred": 100, "hundert": 100, "thousand": 1_000, "tausend": 1_000}
_WRITTEN = {**_NUMBER_WORDS, **_TEENS, **_TENS}
_BEFORE_LARGE = re.compile(
    rf"\b(?P<number>an?|eine?|{'|'.join(_WRITTEN)})[\s-]?(?P<large>{'|'.join(_LARGE)})\b",
    re.IGNORECASE,
)
_ALONE = re.compile(rf"\b(?P<number>{'|'.join({**_TEENS, **_TENS})})\b", re.IGNORECASE)
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
    """Write number words as digits: "20 people", "7000 euros".

    Those up to twelve are only numbers before a unit or a superlative: "6 months", "3 largest".
    """

    def write_large(match: re.Match[str]) -> str:
        number = _WRITTEN.get(match["number"].casefold(), 1)
        return str(number * _LARGE[match["large"].casefold()])

    question = _BEFORE_LARGE.sub(write_large, question)
    question = _ALONE.sub(lambda match: str(_WRITTEN[match["number"].casefold()]), question)

    def write(match: re.Match[str]) -> str:
        return f"{_NUMBER_WORDS[match['number'].casefold()]} {match['unit']}"

    return _BEFORE_MOST.sub(write, _BEFORE_UNIT.sub(write, question))
