"""Whether conditions hold for what was read."""

from __future__ import annotations

import pytest
from scan_samples import condition

from expertrag.answer.scan.conditions import Operator
from expertrag.answer.scan.decisions import decide, is_certain
from expertrag.answer.scan.plan import Attribute
from expertrag.answer.scan.result import Reading
from expertrag.answer.scan.values import Kind, parse_value

RENEWS = Attribute("Does it renew?", Kind.YESNO, condition(Kind.YESNO, Operator.IS, "yes"))
ENDS = Attribute("end date", Kind.DATE, condition(Kind.DATE, Operator.IS, "2026"))
LATE, EARLY = (parse_value(text, Kind.DATE) for text in ("3 May 2026", "3 May 2025"))


def _yes(*shares: float) -> list[Reading]:
    return [Reading(p=share) for share in shares]


# what the default model says to documents that yes is right for, and to others
MEASURED = {
    "interest": ([0.92, 0.95, 0.95, 0.98], [0.41, 0.43, 0.48, 0.52, 0.53, 0.58, 0.7, 0.72]),
    "cleaning": ([0.89, 0.89, 0.96, 0.96], [0.05, 0.06, 0.08, 0.12, 0.17, 0.23, 0.4]),
    "rejected": ([0.93, 0.95, 0.95, 0.96], [0.15, 0.15, 0.22, 0.24, 0.26, 0.28]),
    "postponed": ([0.73], [0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.16, 0.18, 0.23]),
    "apologies": ([0.84, 0.91, 0.91, 0.92, 0.93, 0.94, 0.95], []),
}
AMBIGUOUS = {
    "instructions": ([0.52, 0.57, 0.64, 0.76], [0.22, 0.23, 0.25, 0.26, 0.3, 0.33, 0.34]),
    "extension": ([0.82, 0.91, 0.92, 0.95], [0.48, 0.55, 0.58, 0.63, 0.65, 0.65, 0.69]),
    "renews": (
        [0.15, 0.15, 0.17, 0.17, 0.17, 0.23, 0.48, 0.5, 0.71],
        [0.03, 0.03, 0.03, 0.04, 0.07, 0.1, 0.1],
    ),
    "insured": ([0.38, 0.38, 0.62, 0.65, 0.65, 0.69], [0.13, 0.17, 0.17, 0.19, 0.28, 0.31, 0.37]),
}


@pytest.mark.parametrize("name", MEASURED)
def test_documents_are_parted_where_they_leave_the_widest_gap(name: str) -> None:
    right, wrong = MEASURED[name]
    assert decide(RENEWS, _yes(*right, *wrong)) == [True] * len(right) + [False] * len(wrong)


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_documents_between_two_groups_are_unsure(name: str) -> None:
    right, wrong = AMBIGUOUS[name]
    held = decide(RENEWS, _yes(*right, *wrong))
    assert False not in held[: len(right)]
    assert True not in held[len(right) :]
    assert None in held


def test_few_documents_are_sure_only_far_from_one_half() -> None:
    assert decide(RENEWS, _yes(0.9, 0.1, 0.52)) == [True, False, None]


def test_a_question_that_no_document_affirms_has_no_match() -> None:
    assert decide(RENEWS, _yes(0.01, 0.02, 0.03, 0.02, 0.01, 0.05)) == [False] * 6


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


def test_a_decision_is_certain_far_from_the_bound() -> None:
    assert [is_certain(RENEWS, reading) for reading in _yes(0.05, 0.2, 0.6, 0.95)] == [
        True, False, False, True
    ]  # fmt: skip
    late, early = ((value, share) for value, share in ((LATE, 0.35), (EARLY, 0.65)))
    assert not is_certain(ENDS, Reading(normal=EARLY, p=0.65, shares=(late, early)))
    assert is_certain(ENDS, Reading(normal=EARLY, p=0.8))
    assert is_certain(ENDS, Reading())  # no value of the document may match
    meier = condition(Kind.NAME, Operator.IS, "Anna Meier")
    assert not is_certain(Attribute("attendee", Kind.NAME, meier), Reading("Tom", "Tom", 0.6))
