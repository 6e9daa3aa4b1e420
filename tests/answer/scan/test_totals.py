"""What is computed of the values of documents, and how they are shown."""

from __future__ import annotations

from decimal import Decimal

from scan_samples import condition, eur, result, scanned

from expertrag.answer.scan.conditions import Operator
from expertrag.answer.scan.plan import Attribute, Computed
from expertrag.answer.scan.result import READ_BY_MODEL
from expertrag.answer.scan.totals import Total, coverage_of, to_table, totals
from expertrag.answer.scan.values import Kind, Quantity, parse_value

FEE = Attribute("annual fee", Kind.MONEY)
END = Attribute("end date", Kind.DATE, condition(Kind.DATE, Operator.IS, "2026"))
NOTICE = Attribute("notice", Kind.DURATION)
USD = Quantity(Decimal(900), "usd")


def test_a_count_counts_what_matches() -> None:
    counted = result(
        Computed.COUNT,
        scanned("a", END, parse_value("3 May 2026", Kind.DATE)),
        scanned("b", END, parse_value("3 May 2025", Kind.DATE), holds=False),
    )
    assert totals(counted) == (Total(Computed.COUNT, 1, "", ("a",)),)


def test_several_currencies_are_never_added() -> None:
    documents = (
        scanned("a", FEE, eur("1500.50")), scanned("b", FEE, eur("2000")), scanned("c", FEE, USD)
    )  # fmt: skip
    assert totals(result(Computed.SUM, *documents)) == (
        Total(Computed.SUM, 3500.5, "EUR", ("a", "b")),
        Total(Computed.SUM, 900, "USD", ("c",)),
    )
    assert totals(result(Computed.AVERAGE, *documents))[0].value == 1750.25
    assert totals(result(Computed.LARGEST, *documents))[0] == Total(
        Computed.LARGEST, 2000, "EUR", ("b",)
    )


def test_durations_are_compared_in_days() -> None:
    documents = [
        scanned(text, NOTICE, parse_value(text, Kind.DURATION))
        for text in ("60 days", "three months")
    ]
    (longest,) = totals(result(Computed.LARGEST, *documents))
    assert longest == Total(Computed.LARGEST, 91.31, "days", ("three months",))


def test_dates_have_a_first_and_a_last() -> None:
    end = Attribute("end date", Kind.DATE)
    documents = [
        scanned(text, end, parse_value(text, Kind.DATE)) for text in ("3 May 2025", "9 June 2024")
    ]
    (first,) = totals(result(Computed.SMALLEST, *documents))
    assert first == Total(Computed.SMALLEST, "2024-06-09", "", ("9 June 2024",))


def test_the_table_has_the_documents_that_match_and_what_was_read() -> None:
    scan = result(
        Computed.LIST,
        scanned("a", END, parse_value("3 May 2026", Kind.DATE)),
        scanned("b", END, None, holds=False),
    )
    table, coverage = to_table(scan)
    assert table.columns == ("document", "title", "end date")
    assert table.rows == (("a", "Title of a", "2026-05-03"),)
    assert table.sources == (("a",),)
    assert table.query == "read each of 2 documents (all of contracts); contracts: end date is 2026"
    assert (coverage.searched, coverage.matched, coverage.read) == (2, 1, 2)
    assert (coverage.complete, coverage.reason) == (None, READ_BY_MODEL)


def test_what_is_unsure_or_left_out_is_not_complete() -> None:
    sure = scanned("a", END, parse_value("3 May 2026", Kind.DATE))
    unsure = scanned("b", END, parse_value("2026", Kind.DATE), holds=None)
    coverage = coverage_of(result(Computed.LIST, sure, unsure))
    assert (coverage.complete, coverage.matched) == (None, 1)
    assert "could not be read for sure (b)" in coverage.reason
    coverage = coverage_of(result(Computed.LIST, sure, left_out=3))
    assert (coverage.complete, coverage.left_out, coverage.searched) == (False, 3, 4)


def test_a_sum_without_some_values_is_not_known_to_be_complete() -> None:
    scan = result(Computed.SUM, scanned("a", FEE, eur("5")), scanned("b", FEE, None))
    assert totals(scan) == (Total(Computed.SUM, 5, "EUR", ("a",)),)
    coverage = coverage_of(scan)
    assert coverage.complete is None
    assert coverage.reason.endswith("; 1 of the documents that match do not give the annual fee")
