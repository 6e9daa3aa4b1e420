"""Format figures, in the same way for terminal, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterable

ABSENT = "-"

POLICIES = ("never", "always", "multi_step", "random", "gate", "auto", "oracle")


def share(value: float | None) -> str:
    """Format a share or score with three decimals."""
    return ABSENT if value is None else f"{value:z.3f}"


def format_signed(value: float | None) -> str:
    """Format a difference with its sign."""
    return ABSENT if value is None else f"{value:+z.3f}"


def span(ends: tuple[float, float] | None) -> str:
    """Format an interval."""
    return ABSENT if ends is None else f"[{ends[0]:z.3f}, {ends[1]:z.3f}]"


def give_or_take(value: float | None, ends: tuple[float, float] | None) -> str:
    """Format a value with half the width of its interval."""
    if value is None or ends is None:
        return share(value)
    return f"{value:z.3f} ±{(ends[1] - ends[0]) / 2:.3f}"


def p_value(value: float | None) -> str:
    """Format a p-value; values below .001 as "<0.001"."""
    if value is None:
        return ABSENT
    return "<0.001" if value < 0.001 else f"{value:z.3f}"


def count(value: float | None) -> str:
    """Format a count."""
    return ABSENT if value is None else f"{value:,.0f}"


def amount(value: float | None) -> str:
    """Format a mean count or time with up to three digits."""
    if value is None:
        return ABSENT
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def in_order(policies: Iterable[str]) -> list[str]:
    """Order policies: built-in ones first, in the usual order, then others by name."""
    known = {name: rank for rank, name in enumerate(POLICIES)}
    return sorted(policies, key=lambda name: (known.get(name, len(known)), name))
