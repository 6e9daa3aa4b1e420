"""Whether conditions hold for what was read."""

from __future__ import annotations

import pytest
from scan_samples import condition

from expertrag.answer.scan.conditions import Operator
from expertrag.answer.scan.decisions import decide, find_bound
from expertrag.answer.scan.plan import Attribute
from expertrag.answer.scan.result import Reading
from expertrag.answer.scan.values import Kind, parse_value

RENEWS = Attribute("Does it renew?", Kind.YESNO, condition(Kind.YESNO, Operator.IS, "yes"))
ENDS = Attribute("end date", Kind.DATE, condition(Kind.DATE, Operator.IS, "2026"))
LATE, EARLY = (parse_value(text, Kind.DATE) for text in ("3 May 2026", "3 May 2025"))


def _yes(*shares: float) -> list[Reading]:
    return [Reading(p=share) for share in shares]


def test_few_documents_are_compared_with_one_half() -> None:
    assert decide(RENEWS, _yes(0.9, 0.2, 0.52)) == [True, False, None]


def test_many_documents_find_their_own_bound() -> None:
    held = decide(RENEWS, _yes(0.31, 0.35, 0.4, 0.06, 0.05, 0.03, 0.33))
    assert held == [True, True, True, False, False, False, True]


def test_a_question_that_no_document_affirms_has_no_match() -> None:
    assert decide(RENEWS, _yes(0.01, 0.02, 0.03, 0.02, 0.01, 0.05)) == [False] * 6


def test_a_question_that_all_affirm_has_only_matches() -> None:
    assert decide(RENEWS, _yes(0.98, 0.97, 0.99, 0.95, 0.92, 0.99)) == [True] * 6


def test_no_is_a_match_if_it_is_asked_for() -> None:
    not_renewed = condition(Kind.YESNO, Operator.IS, "no")
    asked = Attribute("Does it renew?", Kind.YESNO, not_renewed)
    assert decide(asked, _yes(0.9, 0.1)) == [False, True]


@pytest.mark.parametrize(
    ("shares", "holds"),
    [
        (((LATE, 0.9), (EARLY, 0.1)), True),
        (((LATE, 0.4), (EARLY, 0.45), (None, 0.15)), False),
        (((LATE, 0.48), (EARLY, 0.27), (parse_value("2026", Kind.DATE), 0.25)), True),
        (((parse_value("since 2026", Kind.DATE), 0.3), (LATE, 0.2), (EARLY, 0.5)), True),
    ],
)
def test_a_condition_holds_by_all_values_that_may_be_meant(
    shares: tuple[tuple[object, float], ...], holds: bool
) -> None:
    reading = Reading(normal=LATE, p=shares[0][1], shares=shares)  # type: ignore[arg-type]
    assert decide(ENDS, [reading]) == [holds]


def test_a_value_that_is_not_given_does_not_match_and_an_unsure_one_may() -> None:
    assert decide(ENDS, [Reading(p=0.9), Reading(p=0.3)]) == [False, None]
    assert decide(Attribute("fee", Kind.MONEY), [Reading(p=0.9), Reading(p=0.3)]) == [True, None]


def test_the_bound_is_the_middle_of_the_widest_gap() -> None:
    assert find_bound([-3.0, -2.9, -2.8, 0.8, 0.9, 1.0]) == pytest.approx(-0.6, abs=0.1)
