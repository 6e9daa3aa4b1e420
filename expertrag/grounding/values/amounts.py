"""Amounts: numbers with or without a unit, and the units that column names and headings give."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from expertrag.grounding.values.units import MONEY, SCALES, UNITS, Unit, unit_of
from expertrag.grounding.values.value import Value

_DIGITS = "[\u00a0\u202f'\u2019]"  # what may separate thousands, apart from a comma or a stop
_NUMBER = re.compile(rf"\d+(?:{_DIGITS}\d{{3}}(?!\d))*(?:[.,]\d+)*")
_SIGNS = "".join(
    sorted(name for name, unit in UNITS.items() if unit.base in MONEY and not name.isalnum())
)
_SYMBOLS = f"[{_SIGNS}]"
_CODES = "|".join(sorted(code.upper() for code in MONEY))
_MONEY_BEFORE = re.compile(
    rf"(?P<unit>{_SYMBOLS}|\b(?:{_CODES}))[ \u00a0]?"
    rf"(?:\d[\d.,]*[ \u00a0]?(?:-|\u2013|to|bis)[ \u00a0]?)?[-\u2212]?\Z"
)
_SIGN = re.compile(rf"(?:(?<![^\s(|{_SIGNS}])[-\u2212\u2013]|\bminus )\Z")
_UNIT = re.compile(
    rf"[ \u00a0]?(?:% ?points?|percentage points?|per ?cent|[%{_SIGNS}](?!\d)"
    r"|°[ \u00a0]?[CF]\b|km/h\b)"
    r"|(?:[ \u00a0]|-(?=[a-z]))?[^\W\d_]+[²]?(?!\w)"
)
_SCALE = re.compile(
    rf"[ \u00a0-]?({'|'.join(name for name in SCALES if name != 'k')})\b\.?|(k)\b", re.IGNORECASE
)
_SHORT_SCALE = re.compile(r"[ \u00a0]?(m|b)\b", re.IGNORECASE)  # of money: "$5m"
_TO = re.compile(r"[ \u00a0]?(?:-|\u2013|\u2212|to|bis|and|und|or|oder)[ \u00a0]?(?=[-\u2212]?\d)")
_VERSION = re.compile(r"(?!\d{1,3}(?:\.\d{3})+(?![\d.]))\d+(?:\.\d+){2,}(?![\d,])")
_NAMED_VERSION = re.compile(r"(?:v\.?|version )(\d+(?:\.\d+)*)", re.IGNORECASE)
_BRACKET = re.compile(  # "Limit (€)"; "(h)" within a sentence counts paragraphs
    r"[(\[](?<=[^\W\d_] [(\[])(?:in )?([^()\[\]\d]{2,24}|[^\w\s]|\w(?=.\s*(?:[:|]|\Z)))[)\]]"
)
_IN_UNIT = re.compile(rf" in ([^\W\d_]+|{_SYMBOLS})")  # "in million EUR"
_LONGEST_UNIT = 24
_ALONE = re.compile(rf"({_SYMBOLS}|%|(?:{_CODES})\b)(?![ \u00a0]?[-\u2212]?\d)")
_PIECE = re.compile(rf"[{_SIGNS}%]|°?[^\W\d_]+[²]?")
_CHANGING = MONEY | {"%"}  # what falls by 5 % changes by -5 %; 5 degrees of frost are not 5 °C
_DECADE = re.compile(r"\d{3}0s\b")

_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
    fifteen sixteen seventeen eighteen nineteen twenty"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_GERMAN = "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf"
_ORDINALS = """first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth
    thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"""
_WRITTEN = {
    **{word: number for number, word in enumerate(_ONES.split())},
    **{word: 10 * number for number, word in enumerate(_TENS.split(), 2)},
    **{word: number for number, word in enumerate(_GERMAN.split(), 2)},
}
_NTH = {word: number for number, word in enumerate(_ORDINALS.split(), 1)}
_PARTS = {"half": Decimal(".5"), "quarter": Decimal(".25")}
_PART = re.compile(r"(?:half|quarter)[ -](?:of )?an? ", re.IGNORECASE)
_NTH_AFTER = re.compile(r"(?:st|nd|rd|th)\b")
_WORD = re.compile(r"[^\W\d_]+")
_REST = re.compile(r"[ -](one|two|three|four|five|six|seven|eight|nine)\b", re.IGNORECASE)
_IN_DIGITS = re.compile(r" \(\d+\)")  # "thirty (30) days"
_NO_COUNT = re.compile(
    r"\b(?:the|these|those|all|both|his|her|its|their|our|other) \Z", re.IGNORECASE
)

_CODE = re.compile(rf"({_CODES})\b[ \u00a0]?[-\u2212]?")

BEGINNINGS = frozenset({*_WRITTEN, *_NTH, *_PARTS})
"""Words that a written amount begins with."""


class _Unit(NamedTuple):
    """What follows a number: its scale and unit, and where it ends."""

    scale: Decimal
    unit: Unit | None
    end: int


def amount_at(text: str, start: int) -> Value | None:
    """Read a number, a version, an ordinal or an amount that begins with a digit."""
    behind = text[max(0, start - 24) : start]
    if version := _VERSION.match(text, start):
        return Value(version.end(), (f"v{version[0]}",))
    match = _NUMBER.match(text, start)
    if match is None:
        return None
    if nth := _NTH_AFTER.match(text, match.end()):
        return Value(nth.end(), (f"{match[0]}th",))
    if decade := _DECADE.match(text, start):
        return Value(decade.end(), (match[0],))
    sign = "-" if _SIGN.search(behind) else ""
    numbers = tuple(sign + number for number in _numbers(match[0]))
    before = _MONEY_BEFORE.search(behind)
    after = _after(text, match.end(), UNITS[before["unit"]] if before else None)
    if after.unit is None and (to := _TO.match(text, match.end())):
        after = _share_unit(text, to.end(), after)
    return _value(numbers, after)


def amount_in_words_at(text: str, start: int) -> Value | None:
    """Read an amount that begins with a word: "thirty days", "half an hour", "third"."""
    if part := _PART.match(text, start):
        unit = _after(text, part.end() - 1, None)
        number = _plain(_PARTS[part[0].split()[0].split("-")[0].lower()])
        return _value((number,), unit) if unit.unit else None
    match = _WORD.match(text, start)
    word = match[0].lower() if match else ""
    if match is None or word in _PARTS:
        return None
    if word in _NTH:
        return Value(match.end(), (f"{_NTH[word]}th",), holds=(word,), exact=False)
    count, end = _WRITTEN[word], match.end()
    if count >= 20 and (rest := _REST.match(text, end)):
        count, end = count + _WRITTEN[rest[1].lower()], rest.end()
    if digits := _IN_DIGITS.match(text, end):
        end = digits.end()
    after = _after(text, end, None)
    counts = after.unit is not None or not (
        count <= 1 or _NO_COUNT.search(text[max(0, start - 6) : start])
    )
    return _value((str(count),), after, exact=counts)


def version_at(text: str, start: int) -> Value | None:
    """Read "v2.4" or "version 2.4"; a number alone may also be meant."""
    match = _NAMED_VERSION.match(text, start)
    if match is None:
        return None
    number = (match[1], *_numbers(match[1])) if match[1].count(".") < 2 else ()
    return Value(match.end(), (f"v{match[1]}",), number, ("version", *number))


def money_at(text: str, start: int) -> Value | None:
    """Read an amount that begins with the code of a currency, or the code alone."""
    match = _CODE.match(text, start)
    if match is None:
        return None
    if match.end() < len(text) and text[match.end()].isdecimal():
        return amount_at(text, match.end())
    return Value(match.end(1), (UNITS[match[1]].word,))


def units_named(text: str) -> list[Unit]:
    """Find units that stand without a number: "Limit (€)", "in million EUR", "in thousands"."""
    named = {match.start(1): _read_unit(match[1], whole=True) for match in _BRACKET.finditer(text)}
    for match in _IN_UNIT.finditer(text):
        if match[1] in UNITS or match[1] in SCALES:
            start = match.start(1)
            named[start] = _read_unit(text[start : start + _LONGEST_UNIT], whole=False)
    for match in _ALONE.finditer(text):
        start = match.start()
        read = any(0 <= start - other < _LONGEST_UNIT for other in named)
        if not read and not text[:start].rstrip()[-1:].isdecimal():
            named[start] = UNITS[match[1]]
    return [unit for unit in named.values() if unit]


def with_units(numbers: Iterable[str], units: Iterable[Unit]) -> Iterator[str]:
    """Yield the words of numbers with the units that a column name or heading gives."""
    held = tuple(units)
    for number in numbers:
        for unit in held:
            yield _amount(Decimal(number), unit)


def _read_unit(spelling: str, *, whole: bool) -> Unit | None:
    """Read a unit with its scale in any order: "million EUR", "EUR m", "$ in thousands".

    :param whole: whether it is none if anything else is written with it.
    """
    scale, unit = Decimal(1), None
    for word in _PIECE.findall(spelling):
        if word.lower() in SCALES:
            scale *= SCALES[word.lower()]
        elif unit is None and (written_unit := unit_of(word)):
            unit = written_unit
        elif word not in ("in", "of"):
            if whole:
                return None
            break
    if unit:
        return unit._replace(factor=unit.factor * scale)
    return Unit(scale, "", "") if scale != 1 else None


def _after(text: str, position: int, money: Unit | None) -> _Unit:
    """Read the scale and unit after a number."""
    scale = Decimal(1)
    match = _SCALE.match(text, position)
    if match:
        scale = SCALES[(match[1] or match[2]).lower()]
        position = match.end()
    elif money and (match := _SHORT_SCALE.match(text, position)):
        scale = SCALES["million" if match[1].lower() == "m" else "billion"]
        position = match.end()
    if money:
        return _Unit(scale, money, position)
    match = _UNIT.match(text, position)
    unit = _find_unit(match[0]) if match else None
    return _Unit(scale, unit, match.end() if match and unit else position)


def _find_unit(written: str) -> Unit | None:
    name = written.strip(" \u00a0-")
    if name.startswith(("per", "% p")):
        return UNITS["point" if name.endswith(("point", "points")) else "%"]
    if name in ("p", "d") and written != name:  # "45p", not "45 p"
        return None
    return unit_of(name.replace(" ", "").replace("\u00a0", ""))


def _share_unit(text: str, position: int, alone: _Unit) -> _Unit:
    """Return the unit that the first number of a range shares with the second one."""
    match = _NUMBER.match(text, position + (text[position] in "-\u2212"))
    if match is None:
        return alone
    second = _after(text, match.end(), None)
    return _Unit(second.scale if second.unit else alone.scale, second.unit, alone.end)


def _value(numbers: tuple[str, ...], after: _Unit, *, exact: bool = True) -> Value:
    written = numbers
    if after.scale != 1:
        numbers = tuple(_plain(Decimal(number) * after.scale) for number in numbers)
    unsigned = tuple(number[1:] for number in numbers if number[0] == "-")  # "fell by 22.8 %"
    if after.unit is None:
        others = (*numbers[1:], *unsigned)
        bare = written if after.scale != 1 else ()
        return Value(after.end, numbers[:1], numbers[1:], others, numbers[0], bare, exact)
    words = [_amount(Decimal(number), after.unit) for number in numbers]
    if after.unit is UNITS["pounds"]:
        words.append(_amount(Decimal(numbers[0]), UNITS["lb"]))
    if after.unit.base in _CHANGING:
        unsigned = (*unsigned, *(_amount(Decimal(number), after.unit) for number in unsigned))
    holds = (*words[1:], *numbers, *unsigned, after.unit.word)
    bare = tuple(dict.fromkeys((*written, *numbers)))
    return Value(after.end, (words[0],), tuple(words[1:]), holds, bare=bare, exact=exact)


def _amount(number: Decimal, unit: Unit) -> str:
    return f"{_plain(number * unit.factor)} {unit.base}".rstrip()


@functools.lru_cache(maxsize=4_096)
def _numbers(written: str) -> tuple[str, ...]:
    """Return the readings of a number, the likelier first: "1.200" may be 1.2 or 1200."""
    digits = re.sub(_DIGITS, "", written)
    marks = [letter for letter in digits if letter in ".,"]
    if not marks:
        return (digits,) if digits[0] == "0" else (_plain(Decimal(digits)),)
    last = marks[-1]
    whole, _, rest = digits.rpartition(last)
    joined = _plain(Decimal(digits.replace(",", "").replace(".", "")))
    broken = _plain(Decimal(re.sub("[.,]", "", whole) + "." + rest))
    if len(set(marks)) > 1:
        return (broken,)
    if len(marks) > 1 or (last == "," and len(rest) == 3 and whole.lstrip("0")):
        return (joined,)
    if last == "." and len(rest) == 3 and whole.lstrip("0") and len(whole) <= 3:
        return (broken, joined)
    return (broken,)


def _plain(number: Decimal) -> str:
    """Write a number in full, without zeros that say nothing."""
    written = f"{number:f}"
    return (written.rstrip("0").rstrip(".") if "." in written else written) or "0"
