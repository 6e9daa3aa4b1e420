"""Counts of decisions by expert, domain and time."""

from __future__ import annotations

import pytest
from audit_fixtures import make_entry

from expertrag.api.decisions import ExpertCount
from expertrag.audit.experts import count_experts


def at(hour: int, minute: int = 0) -> str:
    return f"2026-11-25T{hour:02}:{minute:02}:00.000+00:00"


def test_decisions_are_counted_by_domain_expert_and_hour() -> None:
    law, code = {"law": 0.7, "general": 0.3}, {"code": 0.5, "law": 0.5}
    found = count_experts(
        [
            make_entry(1, 0.9, time=at(8, 5), domains=law, expert="shared"),
            make_entry(2, 0.1, time=at(8, 55), domains=law, expert="shared"),
            make_entry(3, 0.9, time=at(8, 6), domains=law, expert="law"),
            make_entry(4, 0.9, time=at(20), domains=code, expert=None),
            make_entry(5, 0.9, time=at(20), domains=None, expert=None),
        ],
        periods=24,
    )
    assert found.period_s == 3_600
    assert found.counts == (
        ExpertCount("2026-11-25T08:00:00+00:00", "law", "law", 1, 1),
        ExpertCount("2026-11-25T08:00:00+00:00", "law", "shared", 2, 1),
        ExpertCount("2026-11-25T20:00:00+00:00", "", "", 1, 1),
        ExpertCount("2026-11-25T20:00:00+00:00", "law", "", 1, 1),
    )


@pytest.mark.parametrize(
    ("periods", "period_s"),
    [(200, 300), (24, 3_600), (12, 2 * 3_600), (2, 12 * 3_600), (1, 86_400)],
)
def test_periods_are_as_short_as_their_number_allows(periods: int, period_s: int) -> None:
    entries = [make_entry(number, time=at(number + 7)) for number in range(13)]
    found = count_experts(entries, periods)
    assert found.period_s == period_s
    assert len({count.start for count in found.counts}) <= periods
    assert sum(count.decisions for count in found.counts) == 13


def test_a_log_across_the_end_of_every_period_is_one() -> None:
    entries = [
        make_entry(1, time="1971-01-01T00:00:00Z"),
        make_entry(2, time="2999-01-01T00:00:00Z"),
    ]
    (count,) = count_experts(entries, 1).counts
    assert count.decisions == 2


def test_a_time_that_is_none_is_not_an_error() -> None:
    assert count_experts([make_entry(1, time="yesterday")], 5).counts[0].decisions == 1
