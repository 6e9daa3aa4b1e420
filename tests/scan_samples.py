"""Values of scans that tests build by hand."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal

from expertrag.answer.context import AnswerContext
from expertrag.answer.scan.conditions import Operator, ValueCondition, read_condition
from expertrag.answer.scan.plan import Attribute, Computed, ScanPlan
from expertrag.answer.scan.result import AttributeRead, Reading, ScannedDocument, ScanResult
from expertrag.answer.scan.values import Kind, Normal, Quantity
from expertrag_index.types import Document

OpenContext = Callable[..., AnswerContext]
"""Opens the context of a question about the store of ``DOCUMENTS``."""
TODAY = datetime.date(2026, 5, 20)


def condition(kind: Kind, operator: Operator, words: str, question: str = "") -> ValueCondition:
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


def eur(number: str) -> Quantity:
    """An amount in euros."""
    return Quantity(Decimal(number), "eur")


DOCUMENTS = [
    *(
        Document(
            id=f"contracts/contract-{number}.txt",
            title=f"Service agreement {number}",
            text=text,
            metadata={"year": 2020 + number},
            labels=("board",) if number == 5 else (),
        )
        for number, text in enumerate(
            (
                "Signed on 3 May 2022. It ends on 31 May 2025. The annual fee is EUR 4,000.",
                "Signed on 9 May 2023. It ends on 28 February 2026. The annual fee is EUR 1,500.",
                "It runs for two years from 1 March 2024. The fee is USD 900 a year.",
                "Dieser Vertrag endet am 30. Juni 2026. Er kostet 2.000 Euro im Jahr.",
                "The secret agreement ends on 1 June 2026. The annual fee is EUR 77,000.",
            ),
            1,
        )
    ),
    *(
        Document(
            id=f"minutes/{month}.txt",
            title=f"Meeting in {month}",
            text=f"The team met in {month} 2025. {chair} chaired the meeting.",
        )
        for month, chair in (("March", "Anna Meier"), ("April", "Tom Berg"))
    ),
    Document(
        id="policies/travel.txt",
        title="Travel policy",
        text="Contracts with hotels are made by the office. It applies from 1 January 2026.",
    ),
]
"""Five contracts, one of them only for the board; two minutes and a policy."""
