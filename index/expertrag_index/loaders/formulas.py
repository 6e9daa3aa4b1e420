"""Writes the formulas of Office files in a line: ``(a+b)/2``, ``x^2``, ``√(x)``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from expertrag_index.loaders.ooxml import local_name, qn

FORMULA = qn("m:oMath")
_SIMPLE = re.compile(r"\w*|\([^()]*\)")
_VALUE = qn("m:val")


def formula(element: Any) -> str:
    """Return the characters of a formula, its signs included."""
    name = local_name(element)
    if name == "t":
        return element.text or ""
    if name.endswith("Pr"):
        return ""
    return _SHAPES.get(name, _all)(element)


def _all(element: Any) -> str:
    return "".join(map(formula, element))


def _part(element: Any, name: str) -> str:
    part = element.find(qn(f"m:{name}"))
    return _all(part) if part is not None else ""


def _group(text: str) -> str:
    return text if _SIMPLE.fullmatch(text) else f"({text})"


def _sign(element: Any, name: str, otherwise: str) -> str:
    """Return a sign that the properties of an element name."""
    sign = element.find(f"{qn(f'm:{local_name(element)}Pr')}/{qn(f'm:{name}')}")
    return otherwise if sign is None else sign.get(_VALUE, "")


def _fraction(element: Any) -> str:
    return f"{_group(_part(element, 'num'))}/{_group(_part(element, 'den'))}"


def _scripts(element: Any) -> str:
    return f"{_part(element, 'e')}{_low_and_high(element)}"


def _low_and_high(element: Any) -> str:
    low, high = _part(element, "sub"), _part(element, "sup")
    return (f"_{_group(low)}" if low else "") + (f"^{_group(high)}" if high else "")


def _root(element: Any) -> str:
    return f"{_part(element, 'deg')}√{_group(_part(element, 'e'))}"


def _operator(element: Any) -> str:
    return f"{_sign(element, 'chr', '∫')}{_low_and_high(element)} {_part(element, 'e')}"


def _brackets(element: Any) -> str:
    inner = _sign(element, "sepChr", "|").join(map(_all, element.findall(qn("m:e"))))
    return f"{_sign(element, 'begChr', '(')}{inner}{_sign(element, 'endChr', ')')}"


def _accent(element: Any) -> str:
    return f"{_part(element, 'e')}{_sign(element, 'chr', '')}"


def _limit(element: Any) -> str:
    return f"{_part(element, 'e')}_{_group(_part(element, 'lim'))} "


def _function(element: Any) -> str:
    return f"{_part(element, 'fName')} {_part(element, 'e')}"


def _rows(element: Any) -> str:
    rows = element.findall(qn("m:mr")) or element.findall(qn("m:e"))
    cells = (", ".join(map(_all, row.findall(qn("m:e")))) or _all(row) for row in rows)
    return "; ".join(cells)


_SHAPES: dict[str, Callable[[Any], str]] = {
    "f": _fraction,
    "sSup": _scripts,
    "sSub": _scripts,
    "sSubSup": _scripts,
    "rad": _root,
    "nary": _operator,
    "d": _brackets,
    "acc": _accent,
    "groupChr": _accent,
    "limLow": _limit,
    "limUpp": _limit,
    "func": _function,
    "m": _rows,
    "eqArr": _rows,
}
