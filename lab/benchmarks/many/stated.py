"""The numbers that a text states, in English and German notation."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DATE = re.compile(
    r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b\d{1,2}:\d{2}\b|\[\d+\]|\b[^\W\d_]+-\d+\b"
)
_NUMBER = re.compile(
    r"(?<![\w.,])\d{1,3}(?:[., '\u00a0\u202f]\d{3})+(?![\d])(?:[.,]\d+)?|(?<![\w.,])\d+(?:[.,]\d+)?"
)
_TOTAL = re.compile(r"(\b\d+ (?:out )?(?:of|von|aus) (?:the |den )?)\d+\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?:])\s+|\n+")
_WORDS = {
    **dict.fromkeys(("none", "nobody", "zero", "keine", "keiner", "keinen", "null"), "0"),
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "eleven": "11",
    "twelve": "12",
    "eins": "1",
    "zwei": "2",
    "drei": "3",
    "vier": "4",
    "fünf": "5",
    "sechs": "6",
    "sieben": "7",
    "acht": "8",
    "neun": "9",
    "zehn": "10",
    "elf": "11",
    "zwölf": "12",
}
_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b|\b(no)\b(?!,)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Stated:
    """A number as it stands in a text; "1,234" and "1.234" may be two values."""

    values: tuple[float, ...]
    decimals: int

    def equals(self, expected: float, *, rounded: bool) -> bool:
        """Whether it is the expected number.

        :param rounded: fewer decimals are enough, whole numbers only from 10 on.
        """
        if any(abs(value - expected) < 0.0051 for value in self.values):
            return True
        if not rounded or (self.decimals == 0 and abs(expected) < 10):
            return False
        half = 0.5 * 10.0**-self.decimals + 1e-9
        return any(abs(value - expected) <= half for value in self.values)


def numbers(text: str) -> list[Stated]:
    """Return the numbers in order; dates, times, marks of sources and ids are left out."""
    plain = _TOTAL.sub(r"\1", _DATE.sub(" ", text))
    plain = _WORD.sub(lambda match: _WORDS.get(match[0].lower(), "0"), plain)
    return [_stated(match[0]) for match in _NUMBER.finditer(plain)]


def claims(text: str, asked: str) -> list[Stated]:
    """Return the numbers that can be what a text claims.

    These are the first one, the last one of the first sentence that has any, and the last one.
    Numbers of the question and years are not claimed.

    :param asked: the question.
    """
    known = {value for number in numbers(asked) for value in number.values}
    first: list[Stated] = []
    every: list[Stated] = []
    for sentence in _SENTENCE.split(text):
        some = [
            number
            for number in numbers(sentence)
            if not known & set(number.values) and not _is_year(number)
        ]
        first = first or some
        every += some
    return [first[0], first[-1], every[-1]] if first else []


def cell(value: object) -> list[Stated]:
    """Return the numbers of a cell of a table."""
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [Stated((float(value),), 9)]
    return numbers(str(value))


def _is_year(number: Stated) -> bool:
    return number.decimals == 0 and any(1990 <= value <= 2040 for value in number.values)


def _stated(text: str) -> Stated:
    plain = re.sub(r"[ '\u00a0\u202f]", "", text)
    marks = [character for character in plain if character in ".,"]
    if not marks:
        return Stated((float(plain),), 0)
    whole, _, end = plain.rpartition(marks[-1])
    decimal = float(f"{re.sub('[.,]', '', whole)}.{end}")
    joined = float(re.sub("[.,]", "", plain))
    if len(set(marks)) == 2 or len(end) != 3:
        return Stated((decimal,), len(end))
    if len(marks) > 1:
        return Stated((joined,), 0)
    return Stated((joined, decimal), 0)
