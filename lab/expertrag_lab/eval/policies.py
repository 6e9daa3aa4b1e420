"""Policies: which of the two recorded answers each question gets, and at what cost.

never    closed book
always   open book
auto     as the gate decided
oracle   open book only if it is better: the upper bound for any gate
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from expertrag.api.errors import InvalidArgument
from expertrag_lab.data.types import Branch, GateRecord, Recorded, Row
from expertrag_lab.metrics.squad import contains

REUSED = frozenset({"prefill", "draft"})
"""Stages of the gate whose work a closed-book answer reuses."""
SHARED = frozenset({"embed"})
"""Stages of the gate whose work the search reuses."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one question under one policy."""

    retrieved: bool
    output: str
    branch: Branch
    lm_calls: int
    retrieval_calls: int
    prompt_tokens: int
    completion_tokens: int
    stage_seconds: Mapping[str, float]


def get_recorded(row: Row) -> Recorded:
    """Return the recorded costs of a row.

    :raises InvalidArgument: the row has none, because it is of other origin.
    """
    if row.recorded is None:
        raise InvalidArgument(
            f"row {row.id} has no recorded costs; make rows with 'expertrag eval record'"
        )
    return row.recorded


def _never(_row: Row) -> bool:
    return False


def _always(_row: Row) -> bool:
    return True


def _auto(row: Row) -> bool:
    gate = get_recorded(row).gate
    return gate.p_benefit >= gate.threshold


def _oracle(row: Row) -> bool:
    if row.answers is None:  # no short answers: compare the support by relevant documents
        recorded = get_recorded(row)
        return (recorded.one_step.relevant_support or 0) > (recorded.never.relevant_support or 0)
    return contains(row.one_step, row.answers) and not contains(row.never, row.answers)


POLICIES: Mapping[str, Callable[[Row], bool]] = {
    "never": _never,
    "always": _always,
    "auto": _auto,
    "oracle": _oracle,
}


def parse_policies(names: str) -> tuple[str, ...]:
    """Parse a comma-separated list of policies.

    :raises InvalidArgument: a name is unknown.
    """
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in chosen:
        if name not in POLICIES:
            known = ", ".join(POLICIES)
            raise InvalidArgument(f"policies: unknown policy {name!r}; choose from {known}")
    return chosen


def outcome(policy: str, row: Row) -> Outcome:
    """Apply a policy to a row; only ``auto`` includes the cost of the gate."""
    recorded = get_recorded(row)
    retrieved = POLICIES[policy](row)
    branch = recorded.one_step if retrieved else recorded.never
    gate = recorded.gate if policy == "auto" else None
    extra = GateRecord("", 0.0, 0.0)
    if gate and retrieved:
        extra = gate
    elif gate:
        # the answer continues from the gate's prefill; reading a draft is an additional call
        extra = replace(extra, lm_calls=max(gate.lm_calls - 1, 0))
    return Outcome(
        retrieved=retrieved,
        output=row.one_step if retrieved else row.never,
        branch=branch,
        lm_calls=branch.lm_calls + extra.lm_calls,
        retrieval_calls=branch.retrieval_calls,
        prompt_tokens=branch.prompt_tokens + extra.prompt_tokens,
        completion_tokens=branch.completion_tokens + extra.completion_tokens,
        stage_seconds=_seconds(branch, gate, retrieved),
    )


def _seconds(branch: Branch, gate: GateRecord | None, retrieved: bool) -> Mapping[str, float]:
    seconds = Counter(branch.stage_seconds)
    if gate is not None:
        done = SHARED if retrieved else REUSED
        seconds.update({k: v for k, v in gate.stage_seconds.items() if k not in done})
    return dict(seconds)
