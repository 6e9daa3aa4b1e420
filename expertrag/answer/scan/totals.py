"""Computes with the values of the documents of a scan, and shows them as a table."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from expertrag.answer.scan.periods import Period
from expertrag.answer.scan.plan import Attribute, Computed
from expertrag.answer.scan.result import ScannedDocument, ScanResult
from expertrag.answer.scan.values import Kind, Normal, Quantity
from expertrag.api.tables import AnswerTable, Coverage
from expertrag.api.types import Scalar

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Total:
    """What was computed of the values with one unit.

    ``value``: a number, or a date in ISO 8601. ``unit``: a currency in capital letters, "months",
    "days", "%", or "" for none. ``documents``: ids of those with the largest or smallest value,
    else of all that were counted.
    """

    computed: Computed
    value: Scalar
    unit: str
    documents: tuple[str, ...]


def totals(result: ScanResult) -> tuple[Total, ...]:
    """Compute what the question asks from the documents that match.

    Amounts in several currencies are never added: there is one total for each.
    """
    computed, matched = result.plan.computed, result.matched
    if computed in (Computed.LIST, Computed.COUNT):
        return (Total(Computed.COUNT, len(matched), "", tuple(d.id for d in matched)),)
    attribute = result.plan.measured
    if attribute is None:
        return ()
    by_unit: dict[str, list[tuple[str, Decimal | Period]]] = defaultdict(list)
    for document in matched:
        value = _value(document, attribute)
        if isinstance(value, Period):
            by_unit["date"].append((document.id, value))
        elif isinstance(value, Quantity):
            number, unit = value.comparable if value.unit == "mo" else (value.number, value.unit)
            by_unit[unit].append((document.id, number))
    return tuple(
        total
        for unit, values in sorted(by_unit.items())
        if (total := _total(computed, unit, values))
    )


def to_table(result: ScanResult) -> tuple[AnswerTable, Coverage]:
    """Return the documents that match with what was read of each, and how complete they are.

    Of a sum or another computed value, the rows are the documents that it was computed from.
    """
    attributes = result.plan.attributes
    columns = ("document", "title", *(attribute.name for attribute in attributes))
    rows = tuple(
        (document.id, document.title, *(_cell(document, attribute) for attribute in attributes))
        for document in result.matched
    )
    table = AnswerTable(
        columns, rows, tuple((document.id,) for document in result.matched), result.description
    )
    return table, coverage_of(result)


def coverage_of(result: ScanResult) -> Coverage:
    """Return how complete the documents of a scan are."""
    reason = result.reason
    if missing := _without_value(result):
        lacking = f"{missing} of the documents that match do not give the {_name_measured(result)}"
        reason = f"{reason}; {lacking}"
    return Coverage(
        searched=result.searched,
        matched=len(result.matched),
        read=len(result.documents),
        left_out=result.left_out,
        complete=result.complete,
        reason=reason,
    )


def write_normal(normal: Normal | None) -> Scalar | None:
    """Return a normalised value as it stands in a table."""
    if isinstance(normal, Period):
        return normal.written
    if isinstance(normal, Quantity):
        number, unit = _convert(normal.number, normal.unit)
        return f"{number} {unit}" if unit else number
    return normal


def _total(
    computed: Computed, unit: str, values: list[tuple[str, Decimal | Period]]
) -> Total | None:
    if computed in (Computed.LARGEST, Computed.SMALLEST):
        choose = max if computed is Computed.LARGEST else min
        best = choose((value for _, value in values), key=_order)
        documents = tuple(id for id, value in values if value == best)
        if isinstance(best, Period):
            return Total(computed, best.written, "", documents)
        number, shown = _convert(best, unit)
        return Total(computed, number, shown, documents)
    numbers = [(id, value) for id, value in values if isinstance(value, Decimal)]
    if not numbers:
        return None
    total = sum((value for _, value in numbers), Decimal(0))
    if computed is Computed.AVERAGE:
        total = (total / len(numbers)).quantize(_CENT)
    number, shown = _convert(total, unit)
    return Total(computed, number, shown, tuple(id for id, _ in numbers))


def _order(value: Decimal | Period) -> Decimal:
    return Decimal(value.first.toordinal()) if isinstance(value, Period) else value


def _convert(number: Decimal, unit: str) -> tuple[Scalar, str]:
    """Return a number and its unit as they are written; seconds become days."""
    if unit == "s":
        number, unit = (number / 86_400).quantize(_CENT), "days"
    unit = "months" if unit == "mo" else unit
    plain: Scalar = int(number) if number == number.to_integral_value() else float(number)
    return plain, unit if unit in ("days", "months", "%") else unit.upper()


def _value(document: ScannedDocument, attribute: Attribute) -> Normal | None:
    return next((r.reading.normal for r in document.read if r.attribute == attribute), None)


def _cell(document: ScannedDocument, attribute: Attribute) -> Scalar | None:
    read = next((r for r in document.read if r.attribute == attribute), None)
    if read is None:
        return None
    if attribute.kind is Kind.YESNO:
        return None if read.holds is None else _verdict(attribute, holds=read.holds)
    return write_normal(read.reading.normal)


def _verdict(attribute: Attribute, *, holds: bool) -> str:
    wanted = "no" if attribute.condition and attribute.condition.normal == "no" else "yes"
    return wanted if holds else {"yes": "no", "no": "yes"}[wanted]


def _name_measured(result: ScanResult) -> str:
    attribute = result.plan.measured
    return attribute.name if attribute else "value"


def _without_value(result: ScanResult) -> int:
    """Count the documents that match and do not give the value that is computed with."""
    attribute = result.plan.measured
    if result.plan.computed in (Computed.LIST, Computed.COUNT) or attribute is None:
        return 0
    return sum(_value(document, attribute) is None for document in result.matched)
