"""Values of scans that tests build by hand."""

from __future__ import annotations

import datetime
from decimal import Decimal

from expertrag.answer.scan.conditions import Condition, Operator, read_condition
from expertrag.answer.scan.plan import Attribute, Computed, ScanPlan
from expertrag.answer.scan.result import AttributeRead, Reading, ScannedDocument, ScanResult
from expertrag.answer.scan.values import Amount, Kind, Normal

TODAY = datetime.date(2026, 5, 20)


def condition(kind: Kind, operator: Operator, words: str, question: str = "") -> Condition:
    """A condition as it is read of a question."""
    read = read_condition(kind, operator, words, question or words, TODAY)
    assert read is not None
    return read


def scanned(
    id: str, attribute: Attribute, normal: Normal | None, holds: bool | None = True
) -> ScannedDocument:
    """A document with one value."""
    reading = Reading(str(normal), normal, 0.9, 3, 9)
    return ScannedDocument(id, f"Title of {id}", (AttributeRead(attribute, reading, holds),))


def result(computed: Computed, *documents: ScannedDocument, **options: object) -> ScanResult:
    """The result of a scan of these documents."""
    attributes = tuple(dict.fromkeys(r.attribute for d in documents for r in d.read))
    plan = ScanPlan("contracts", attributes, computed)
    searched = len(documents) + int(options.get("left_out", 0))  # type: ignore[call-overload]
    return ScanResult(plan, documents, searched, family="all of contracts", **options)  # type: ignore[arg-type]


def eur(number: str) -> Amount:
    """An amount in euros."""
    return Amount(Decimal(number), "eur")
