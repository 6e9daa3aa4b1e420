"""What a scan has read, and how complete it is."""

from __future__ import annotations

from scan_samples import condition, result, scanned

from expertrag.answer.scan.conditions import Operator
from expertrag.answer.scan.plan import Attribute, Computed
from expertrag.answer.scan.result import READ_BY_MODEL, AttributeRead, Reading, ScannedDocument
from expertrag.answer.scan.values import Kind

END = Attribute("end date", Kind.DATE, condition(Kind.DATE, Operator.IS, "2026"))


def _document(*holds: bool | None) -> ScannedDocument:
    return ScannedDocument("a", "A", tuple(AttributeRead(END, Reading(), each) for each in holds))


def test_a_document_matches_if_all_conditions_hold() -> None:
    assert _document(True, True).holds is True
    assert _document(True, None).holds is None
    assert _document(None, False).holds is False
    assert _document().holds is True


def test_a_condition_that_fails_for_certain_is_enough() -> None:
    fails, doubted = (AttributeRead(END, Reading(), False, certain=c) for c in (True, False))
    holds = AttributeRead(END, Reading(), True, certain=False)
    assert ScannedDocument("a", "A", (fails, doubted, holds)).certain
    assert not ScannedDocument("a", "A", (doubted,)).certain
    assert not ScannedDocument("a", "A", (holds,)).certain


def test_a_doubtful_document_leaves_it_unknown_whether_all_are_found() -> None:
    doubtful = ScannedDocument("a", "A", (AttributeRead(END, Reading(), False, certain=False),))
    scan = result(Computed.LIST, scanned("b", END, None), doubtful)
    assert (scan.complete, scan.doubtful, scan.unsure) == (None, (doubtful,), ())
    assert scan.reason == "1 documents were not read beyond doubt (a)"


def test_a_reading_without_a_place_cannot_be_cited() -> None:
    assert not Reading("no", p=0.1).has_place
    assert Reading("2026", start=3, end=7).has_place


def test_a_result_that_a_model_has_read_is_not_known_to_be_complete() -> None:
    sure, unsure = scanned("a", END, None), scanned("b", END, None, holds=None)
    assert result(Computed.LIST, sure).complete is None
    assert result(Computed.LIST, sure).reason == READ_BY_MODEL
    assert result(Computed.LIST, sure, unsure).complete is None
    left = result(Computed.LIST, sure, left_out=2)
    assert left.complete is False
    assert left.reason == "2 documents were not read"
