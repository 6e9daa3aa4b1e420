"""Replay the decisions of a log under another policy, and estimate the cost.

A log has the gate's probabilities and the costs of the answers that were given. It lacks the costs
of the answers that another policy would give. So decisions are exact, and costs are estimates: each
answer costs the mean of the log's own AUTO answers with the same action.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from expertrag.api.decisions import Changes, Replay, ReplayOutcome
from expertrag.api.errors import InvalidArgument
from expertrag.api.types import GateAction, GateMode, Usage
from expertrag.audit.entries import AuditEntry
from expertrag.audit.reading import Log

_WITHOUT_GATE = {
    GateAction.CLOSED_BOOK: frozenset({"embed", "gate"}),
    GateAction.RETRIEVE: frozenset({"gate", "prefill", "draft"}),
}
"""Stages that a forced mode saves. A closed-book answer continues the gate's prefill or is its
draft, and a search needs the embedding, so these remain."""

HISTOGRAM = 20
"""Steps of p_benefit in which decisions are counted."""
POLICIES = "threshold:T, never, always, rate:R"


@dataclass(frozen=True, slots=True)
class Policy:
    """Retrieves if p_benefit is at least ``threshold``; ``forced`` does not run the gate."""

    spec: str
    threshold: float
    forced: bool = False

    def retrieves(self, entry: AuditEntry) -> bool:
        """Return whether the policy retrieves."""
        assert entry.p_benefit is not None, "AUTO decisions have one"
        return entry.p_benefit >= self.threshold


def replay(log: Log, spec: str) -> Replay:
    """Apply the policy ``spec`` to the AUTO decisions of a log.

    :raises InvalidArgument: if the policy is unknown, or the log has no AUTO decisions.
    """
    parse_policy(spec, ())  # an invalid policy is reported before faults of the log
    entries = auto_entries(log)
    policy = parse_policy(spec, [entry.p_benefit or 0.0 for entry in entries])
    prices = _prices(entries)
    before = [entry.action is GateAction.RETRIEVE for entry in entries]
    after = [policy.retrieves(entry) for entry in entries]
    changed = [
        (entry, now) for entry, was, now in zip(entries, before, after, strict=True) if was != now
    ]
    ratings = {name: feedback.helpful for name, feedback in log.feedback.items()}
    helped = Counter(ratings.get(entry.id) for entry, _ in changed)
    return Replay(
        policy=spec,
        threshold=None if policy.forced else policy.threshold,
        gates=tuple(sorted({entry.gate for entry in entries})),
        logged=_outcome(entries, before, prices),
        replayed=_outcome(entries, after, _remove_gate(prices) if policy.forced else prices),
        changed=Changes(
            total=len(changed),
            to_retrieve=sum(now for _, now in changed),
            to_closed_book=sum(not now for _, now in changed),
            helpful=helped[True],
            not_helpful=helped[False],
        ),
        rated=sum(ratings.get(entry.id) is not None for entry in entries),
        forced=(forced := sum(entry.mode is not GateMode.AUTO for entry in log.entries)),
        unjudged=len(log.entries) - len(entries) - forced,
        torn=log.torn,
        histogram=_histogram(entries),
    )


def _histogram(entries: Sequence[AuditEntry]) -> tuple[int, ...]:
    values = (entry.p_benefit or 0.0 for entry in entries)
    steps = Counter(min(int(HISTOGRAM * value), HISTOGRAM - 1) for value in values)
    return tuple(steps[step] for step in range(HISTOGRAM))


def auto_entries(log: Log) -> list[AuditEntry]:
    """Return the decisions of the gate in AUTO that have a probability.

    :raises InvalidArgument: if there are none.
    """
    entries = [
        entry
        for entry in log.entries
        if entry.mode is GateMode.AUTO and entry.p_benefit is not None
    ]
    if not entries:
        raise InvalidArgument(
            f"{log.path} has no AUTO decision with a probability: all {len(log.entries):,} were "
            "forced by their callers, or not judged; collect questions with mode auto first"
        )
    return entries


def parse_policy(spec: str, p_benefit: Sequence[float]) -> Policy:
    """Parse a policy.

    :param p_benefit: p_benefit of each decision, from which ``rate`` computes its threshold.
    :raises InvalidArgument: if it is invalid; the message lists the policies.
    """
    name, _, number = spec.partition(":")
    if name in ("never", "always") and not number:
        return Policy(spec, math.inf if name == "never" else -math.inf, forced=True)
    if name not in ("threshold", "rate") or not number:
        raise InvalidArgument(f"policy: unknown policy {spec!r}; choose one of {POLICIES}")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise InvalidArgument(
            f"policy: {number!r} in {spec!r} is not a number from 0 to 1; write {name}:0.4, say"
        )
    return Policy(spec, value) if name == "threshold" else _rate(spec, value, p_benefit)


def _rate(spec: str, share: float, p_benefit: Sequence[float]) -> Policy:
    """Find the smallest logged p_benefit at which at most ``share`` of the decisions retrieve."""
    ordered = sorted(p_benefit, reverse=True)
    allowed = math.floor(share * len(ordered) + 1e-9)  # 0.3 of 10 is 3, not 2.9999999999999996
    if allowed >= len(ordered):
        return Policy(spec, ordered[-1] if ordered else 0.0)
    over = ordered[allowed]  # the first that must not retrieve
    above = [p for p in ordered[:allowed] if p > over]
    return Policy(spec, above[-1] if above else math.nextafter(over, 2.0))


@dataclass(frozen=True, slots=True)
class _Price:
    """The mean cost of an answer with one action."""

    lm_calls: float
    retrieval_calls: float
    stage_seconds: Mapping[str, float]


def _cost(entry: AuditEntry) -> Usage | None:
    """Return the cost of an answer; None for an unfinished answer, whose cost means nothing."""
    return entry.cost if entry.finish_reason is not None else None


def _prices(entries: Sequence[AuditEntry]) -> dict[GateAction, _Price]:
    """Return the mean cost of each action that has a finished answer."""
    prices = {}
    for action in GateAction:
        if costs := [c for e in entries if e.action is action and (c := _cost(e))]:
            stages = sorted({stage for cost in costs for stage in cost.stage_seconds})
            prices[action] = _Price(
                fmean(cost.lm_calls for cost in costs),
                fmean(cost.retrieval_calls for cost in costs),
                {s: fmean(cost.stage_seconds.get(s, 0.0) for cost in costs) for s in stages},
            )
    return prices


def _remove_gate(prices: Mapping[GateAction, _Price]) -> dict[GateAction, _Price]:
    """Remove the gate from the prices: a forced mode makes one call, and no estimate."""
    return {
        action: _Price(
            min(price.lm_calls, 1.0),
            price.retrieval_calls,
            {
                stage: seconds
                for stage, seconds in price.stage_seconds.items()
                if stage not in _WITHOUT_GATE[action]
            },
        )
        for action, price in prices.items()
    }


def _outcome(
    entries: Sequence[AuditEntry], retrieves: Sequence[bool], prices: Mapping[GateAction, _Price]
) -> ReplayOutcome:
    ways = Counter(
        GateAction.RETRIEVE if retrieve else GateAction.CLOSED_BOOK
        for entry, retrieve in zip(entries, retrieves, strict=True)
        if _cost(entry)
    )
    known = bool(ways) and ways.keys() <= prices.keys()
    seconds: defaultdict[str, float] = defaultdict(float)
    for way, number in ways.items() if known else ():
        for stage, mean in prices[way].stage_seconds.items():
            seconds[stage] += mean * number

    def total(price: Callable[[_Price], float]) -> float | None:
        return sum(price(prices[way]) * n for way, n in ways.items()) if known else None

    return ReplayOutcome(
        decisions=len(entries),
        retrievals=sum(retrieves),
        rate=sum(retrieves) / len(entries),
        answers=ways.total(),
        lm_calls=total(lambda price: price.lm_calls),
        retrieval_calls=total(lambda price: price.retrieval_calls),
        seconds=sum(seconds.values()) if known else None,
        stage_seconds=dict(seconds),
    )
