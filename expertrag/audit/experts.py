"""Count the decisions of a log by expert, domain and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from expertrag.api.decisions import ExpertCount, ExpertCounts
from expertrag.api.types import GateAction
from expertrag.audit.entries import AuditEntry

MINUTE, HOUR, DAY = 60, 3_600, 86_400
PERIODS_S = (
    *(number * MINUTE for number in (1, 5, 15, 30)),
    *(number * HOUR for number in (1, 2, 3, 6, 12)),
    *(number * DAY for number in (1, 7, 30, 365)),
)
"""Lengths of periods, in seconds."""


def count_experts(entries: Sequence[AuditEntry], periods: int) -> ExpertCounts:
    """Count the decisions of a log.

    :param entries: at least one.
    :param periods: most periods; they are as short as that allows.
    """
    times = [_seconds(entry.time) for entry in entries]
    period_s = _period_s(min(times), max(times), periods)
    decisions: Counter[tuple[int, str, str, bool]] = Counter()
    for entry, time in zip(entries, times, strict=True):
        domains = entry.domains or {}
        domain = max(domains, key=lambda name: (domains[name], name)) if domains else ""
        retrieved = entry.action is GateAction.RETRIEVE
        decisions[time // period_s, domain, entry.expert or "", retrieved] += 1
    counts = [
        ExpertCount(
            datetime.fromtimestamp(number * period_s, UTC).isoformat(),
            domain,
            expert,
            decisions[number, domain, expert, True] + decisions[number, domain, expert, False],
            decisions[number, domain, expert, True],
        )
        for number, domain, expert in sorted({key[:3] for key in decisions})
    ]
    return ExpertCounts(period_s, tuple(counts))


def _period_s(first: int, last: int, periods: int) -> int:
    fitting = (each for each in PERIODS_S if last // each - first // each < periods)
    return next(fitting, last + 1)


def _seconds(time: str) -> int:
    try:
        return int(datetime.fromisoformat(time).timestamp())
    except ValueError:
        return 0  # a line that something else has written
