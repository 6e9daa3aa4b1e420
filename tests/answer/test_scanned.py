"""Answers from documents that are read one by one."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from expertrag.answer.scan.plan import Attribute, Computed, ScanPlan
from expertrag.answer.scan.result import AttributeRead, Reading, ScannedDocument, ScanResult
from expertrag.answer.scan.values import Kind, Quantity
from expertrag.answer.scanned import _find_passages, _write_bullets, _write_head
from expertrag.api.types import QuestionScope
from expertrag_index.store.index import Index

FEE = Attribute("fee", Kind.MONEY)


def scanned(number: int, fee: int) -> ScannedDocument:
    reading = Reading(f"{fee} EUR", Quantity(Decimal(fee), "eur"), start=2, end=9)
    read = AttributeRead(FEE, reading, True)
    return ScannedDocument(f"incidents/INC-{number}.md", f"Contract {number}", (read,))


def result(computed: Computed, *documents: ScannedDocument) -> ScanResult:
    return ScanResult(
        ScanPlan("contracts", (FEE,), computed), documents, 3, family="all of contracts"
    )


@pytest.mark.parametrize(
    ("scope", "computed", "head"),
    [
        (
            QuestionScope.AGGREGATE,
            Computed.SUM,
            "300 EUR, from 2 of 2 documents",
        ),
        (QuestionScope.COUNT, Computed.COUNT, "2 of 2 documents"),
        (QuestionScope.EXISTS, Computed.LIST, "Yes, 2 of 2 documents"),
    ],
)
def test_the_answer_comes_first(scope: QuestionScope, computed: Computed, head: str) -> None:
    written = _write_head(result(computed, scanned(1, 100), scanned(2, 200)), scope)
    assert written == f"{head} (all of contracts):"


def test_an_empty_set_says_so() -> None:
    nothing = result(Computed.LIST)
    assert _write_head(nothing, QuestionScope.EXISTS).startswith("No, none of 0 documents")
    assert _write_head(nothing, QuestionScope.COUNT).startswith("0: none of 0 documents")


def test_each_document_has_a_line_with_what_was_read() -> None:
    documents = [scanned(number, 100) for number in range(40)]
    lines = _write_bullets(documents)
    assert lines[0] == "- Contract 0 (fee: 100 EUR)"
    assert lines[-1] == "- and 10 more, in the table"


def test_the_passage_holds_what_was_read(company_store: Path) -> None:
    with Index.open(company_store) as index:
        ((name, cited),) = _find_passages(index, [scanned(1, 100)])
    assert name == "incidents/INC-1.md"
    assert (cited.start, cited.end) == (2, 9)
    assert cited.passage.text.startswith("# Certificate")
