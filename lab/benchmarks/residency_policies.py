"""Hit rates of cache policies on a recorded routing: least recently used, and Belady's optimum.

The first ``skipped`` layers of steps, of the prompt, fill the cache and are not counted.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence

Use = tuple[int, int]
"""Layer and expert."""
Trace = Sequence[Sequence[Use]]
"""What each layer of each step uses, in order; in memory all at once."""


def lru(trace: Trace, places: int, skipped: int = 0) -> float:
    """Return the hit rate if the least recently used expert gives way."""
    held: OrderedDict[Use, None] = OrderedDict()
    hits = total = 0
    for time, used in enumerate(trace):
        if time >= skipped:
            hits += sum(use in held for use in used)
            total += len(used)
        for use in used:
            held[use] = None
            held.move_to_end(use)
        while len(held) > places:
            held.popitem(last=False)
    return hits / total


def belady(trace: Trace, places: int, skipped: int = 0) -> float:
    """Return the hit rate if the expert gives way whose next use is the farthest (Belady 1966).

    No policy that reads an expert only when it is needed has more hits.
    """
    later: dict[Use, list[int]] = defaultdict(list)
    for time in range(len(trace) - 1, -1, -1):
        for use in trace[time]:
            later[use].append(time)
    held: set[Use] = set()
    hits = total = 0
    for time, used in enumerate(trace):
        if time >= skipped:
            hits += sum(use in held for use in used)
            total += len(used)
        held.update(used)
        for use in used:
            later[use].pop()
        for _ in range(len(held) - places):
            held.remove(max(held - set(used), key=lambda use: _next(later[use])))
    return hits / total


def skew(trace: Trace, experts: int) -> float:
    """Return the share of all uses that the most used eighth of each layer's experts has."""
    counts: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for layer, expert in _flat(trace):
        counts[layer][expert] += 1
    most = sum(sum(sorted(own.values())[-experts // 8 :]) for own in counts.values())
    return most / sum(sum(own.values()) for own in counts.values())


def _next(times: Sequence[int]) -> float:
    return times[-1] if times else float("inf")


def _flat(trace: Trace) -> Iterable[Use]:
    return (use for used in trace for use in used)
