"""Writes numbers of spreadsheets and charts as they are shown: ``15.5%``, ``00042``, ``May 24``.

A date of numbers alone is written as ``2024-05-01``, because programs show it by the country of
their user. Colours, widths and languages of a format are ignored.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from expertrag_index.loaders.number_dates import format_date, is_date

GENERAL = "General"
_CURRENCY = '"$"#,##0{0}_);{1}("$"#,##0{0})'
_ACCOUNTING = '_({1}* #,##0{0}_);_({1}* (#,##0{0});_({1}* "-"??_);_(@_)'
BUILT_IN = {
    0: GENERAL, 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00",
    5: _CURRENCY.format("", ""), 6: _CURRENCY.format("", "[Red]"),
    7: _CURRENCY.format(".00", ""), 8: _CURRENCY.format(".00", "[Red]"),
    9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss", 22: "yyyy-mm-dd h:mm",
    37: "#,##0_);(#,##0)", 38: "#,##0_);[Red](#,##0)",
    39: "#,##0.00_);(#,##0.00)", 40: "#,##0.00_);[Red](#,##0.00)",
    41: _ACCOUNTING.format("", ""), 42: _ACCOUNTING.format("", '"$"'),
    43: _ACCOUNTING.format(".00", ""), 44: _ACCOUNTING.format(".00", '"$"'),
    45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
} | dict.fromkeys((*range(27, 37), *range(50, 59)), "yyyy-mm-dd")  # fmt: skip
"""The formats that a file names by number only."""
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|_.|\*.|\[(?P<bracket>[^\]]*)\]'
    r"|(?P<general>General)|(?P<exponent>E[+-])|(?P<digit>[0#?])|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?[\d.]+)")
_MOST_DIGITS = 60
_LONGEST_FORMAT = 300


class _Section(NamedTuple):
    """One of the up to four parts of a format."""

    code: str
    tokens: tuple[tuple[str, str], ...]
    """Kind and text: ``literal``, ``digit``, ``general``, ``exponent`` or ``mark``."""
    condition: tuple[str, Decimal] | None


def format_number(value: float, code: str, *, from_1904: bool = False) -> str:
    """Return a number as a format shows it.

    :param value: of a date, the days since the end of 1899, or the beginning of 1904.
    """
    sections = _sections(code)
    try:
        section, number = _choose(sections, Decimal(repr(value)))
        if section is None:
            return plain_number(value)
        if is_date(section.code):
            epoch = datetime.datetime(1904, 1, 1) if from_1904 else None
            return format_date(value, section.code, epoch)
        return " ".join(_number(section.tokens, number, value).split())
    except (ArithmeticError, ValueError):
        return plain_number(value)


def format_text(text: str, code: str) -> str:
    """Return a text as a format shows it: the fourth part of one is for texts."""
    sections = _sections(code)
    section = sections[3] if len(sections) > 3 else sections[-1]
    if len(sections) < 4 and not any(token == ("mark", "@") for token in section.tokens):
        return text
    return "".join(
        text if token == ("mark", "@") else token[1] if token[0] == "literal" else ""
        for token in section.tokens
    )


def plain_number(value: float) -> str:
    """Return a number without a format, as a spreadsheet shows ``.1 + .2``."""
    return f"{value:.15g}"


@lru_cache(maxsize=1024)
def _sections(code: str) -> tuple[_Section, ...]:
    parts: list[list[re.Match[str]]] = [[]]
    for match in _TOKEN.finditer(code[:_LONGEST_FORMAT]):
        if match["other"] == ";":
            parts.append([])
        else:
            parts[-1].append(match)
    return tuple(_section(part) for part in parts[:4])


def _section(matches: Sequence[re.Match[str]]) -> _Section:
    tokens: list[tuple[str, str]] = []
    condition = None
    dates = ""
    for match in matches:
        kind = match.lastgroup
        text = match[kind] if kind else " "
        if kind == "bracket" and (limit := _CONDITION.fullmatch(text)):
            condition = (limit[1], Decimal(limit[2]))
        elif kind == "bracket":
            if text.startswith("$"):
                tokens.append(("literal", text[1:].partition("-")[0]))
            dates += match[0] if text.strip("hmsHMS") == "" else ""
        elif kind in ("quoted", "escaped", None):
            tokens.append(("literal", text if match[0][0] != "*" else " "))
            dates += f'"{text}"' if kind else " "
        else:
            mark = kind == "other" and text in ".,%/@"
            tokens.append(("mark" if mark else "literal" if kind == "other" else kind or "", text))
            dates += text if kind in ("digit", "other") else ""
    return _Section(dates, tuple(tokens), condition)


def _choose(sections: tuple[_Section, ...], number: Decimal) -> tuple[_Section | None, Decimal]:
    """Return the part of a format for a number, and the number with the sign that it shows."""
    if any(section.condition for section in sections):
        for section in sections:
            if section.condition is None or _holds(number, section.condition):
                return section, number
        return None, number
    numeric = sections[:3]
    if number < 0 and len(numeric) > 1:
        return numeric[1], -number
    if number == 0 and len(numeric) > 2:
        return numeric[2], number
    return numeric[0], number


def _holds(number: Decimal, condition: tuple[str, Decimal]) -> bool:
    sign, limit = condition
    above, below = number > limit, number < limit
    return (
        (above and ">" in sign)
        or (below and "<" in sign)
        or (not above and not below and "=" in sign)
    )


def _number(tokens: Sequence[tuple[str, str]], number: Decimal, value: float) -> str:
    if ("mark", "@") in tokens or any(kind == "general" for kind, _ in tokens):
        shown = plain_number(float(number))
        return "".join(shown if kind == "general" or text == "@" else text for kind, text in tokens)
    if not any(kind == "digit" for kind, _ in tokens):
        return "".join(text for _, text in tokens)
    sign = "-" if number < 0 else ""
    number = abs(number).scaleb(2 * tokens.count(("mark", "%")))
    if any(kind == "exponent" for kind, _ in tokens):
        shown = _scientific(tokens, number)
    elif _is_fraction(tokens):
        shown = _fraction(tokens, number)
    else:
        shown = _decimal(tokens, number)
    return sign + shown if any(map(str.isdigit, shown)) and shown.strip("0.,%") else shown


def _decimal(tokens: Sequence[tuple[str, str]], number: Decimal) -> str:
    point = next((at for at, token in enumerate(tokens) if token == ("mark", ".")), len(tokens))
    last = max((at for at, (kind, _) in enumerate(tokens[:point]) if kind == "digit"), default=-1)
    behind = [at for at, token in enumerate(tokens) if token == ("mark", ",") and at > last]
    thousands = 0
    for at in behind:
        thousands += at == last + 1 + thousands or at > point
    grouped = ("mark", ",") in tokens[: last + 1]
    places = min(sum(kind == "digit" for kind, _ in tokens[point:]), _MOST_DIGITS)
    number = number.scaleb(-3 * thousands)
    rounded = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    whole, _, fraction = f"{rounded:f}".partition(".")
    left = _whole(tokens[:point], "" if whole == "0" else whole, grouped=grouped)
    right = _behind_the_point(tokens[point:], fraction)
    return left + right


def _whole(tokens: Sequence[tuple[str, str]], digits: str, *, grouped: bool) -> str:
    """Fill the digits of a whole number in from the right; the first place takes the rest."""
    places = [at for at, (kind, _) in enumerate(tokens) if kind == "digit"]
    out: list[str] = []
    count = 0
    for at in reversed(range(len(tokens))):
        kind, text = tokens[at]
        if kind != "digit":
            out.append(text if (kind, text) != ("mark", ",") else "")
            continue
        take = digits if at == places[0] else digits[-1:]
        digits = digits[: len(digits) - len(take)]
        for digit in reversed(take or {"0": "0", "?": " "}.get(text, "")):
            out.append("," if grouped and count and count % 3 == 0 and digit.isdigit() else "")
            out.append(digit)
            count += 1
    return "".join(reversed(out))


def _behind_the_point(tokens: Sequence[tuple[str, str]], digits: str) -> str:
    kinds = [text for kind, text in tokens if kind == "digit"]
    needed = max((at + 1 for at, kind in enumerate(kinds) if kind != "#"), default=0)
    shown = digits.rstrip("0").ljust(min(needed, len(digits)), "0")
    out, at = [], 0
    for kind, text in tokens:
        if kind == "digit":
            out.append(shown[at : at + 1])
            at += 1
        elif (kind, text) != ("mark", ","):
            out.append(text)
    return "".join(out)


def _scientific(tokens: Sequence[tuple[str, str]], number: Decimal) -> str:
    at = next(at for at, (kind, _) in enumerate(tokens) if kind == "exponent")
    before, after = tokens[:at], tokens[at + 1 :]
    point = before.index(("mark", ".")) if ("mark", ".") in before else len(before)
    whole = max(sum(kind == "digit" for kind, _ in before[:point]), 1)
    power = number.adjusted() // whole * whole if number else 0
    mantissa = _decimal(before, number.scaleb(-power))
    digits = str(abs(power)).rjust(sum(kind == "digit" for kind, _ in after), "0")
    sign = "-" if power < 0 else "+" if tokens[at][1].endswith("+") else ""
    rest = "".join(text for kind, text in after if kind != "digit")
    return f"{mantissa}E{sign}{digits}{rest}"


def _is_fraction(tokens: Sequence[tuple[str, str]]) -> bool:
    at = tokens.index(("mark", "/")) if ("mark", "/") in tokens else 0
    return at > 0 and any(kind == "digit" for kind, _ in tokens[:at])


def _fraction(tokens: Sequence[tuple[str, str]], number: Decimal) -> str:
    at = tokens.index(("mark", "/"))
    below = "".join(text for _, text in tokens[at + 1 :]).strip()
    fixed = re.match(r"\d*[1-9]\d*", below)
    groups = re.findall(r"[0#?]+", "".join(text for _, text in tokens[:at]))
    exact = Fraction(number)
    if fixed:
        part = Fraction(round(exact * int(fixed[0])), int(fixed[0]))
        denominator = int(fixed[0])
    else:
        part = exact.limit_denominator(10 ** min(len(re.findall(r"[0#?]", below)), 7) - 1)
        denominator = part.denominator
    whole = int(part) if len(groups) > 1 else 0
    numerator = int((part - whole) * denominator)
    if numerator == 0 and len(groups) > 1:
        return str(whole)
    return f"{whole} {numerator}/{denominator}" if whole else f"{numerator}/{denominator}"
