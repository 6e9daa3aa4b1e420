"""Read values from report JSON leniently: missing values or wrong types give empty results.

``schema`` checks the required parts; these functions read optional and deeper ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from expertrag_lab.data.types import JSON


def mapping(node: JSON, *keys: str) -> Mapping[str, JSON]:
    """Return the object at ``keys``; empty if there is none."""
    value = _at(node, keys)
    return value if isinstance(value, Mapping) else {}


def items(node: JSON, *keys: str) -> Sequence[JSON]:
    """Return the list at ``keys``; empty if there is none."""
    value = _at(node, keys)
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def number(node: JSON, *keys: str) -> float | None:
    """Return the number at ``keys``; None for null and anything that is not a number."""
    value = _at(node, keys)
    return float(value) if isinstance(value, int | float) else None


def string(node: JSON, *keys: str) -> str:
    """Return the string at ``keys``; numbers are converted, anything else is empty."""
    value = _at(node, keys)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) else ""


def points(node: JSON, *keys: str) -> tuple[tuple[float, float], ...]:
    """Return the pairs of numbers in the list at ``keys``; other items are dropped."""
    pairs = []
    for pair in items(node, *keys):
        values = [number(value) for value in items(pair)]
        if len(values) == 2 and values[0] is not None and values[1] is not None:
            pairs.append((values[0], values[1]))
    return tuple(pairs)


def interval(node: JSON, *keys: str) -> tuple[float, float] | None:
    """Return the two ends of the interval at ``keys``; None if there is none."""
    ends = [number(value) for value in items(node, *keys)]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return None
    return ends[0], ends[1]


def flat(node: JSON, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value inside ``node`` with its dotted path."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(node, list | tuple) and node:
        for position, value in enumerate(node):
            yield from flat(value, f"{name}.{position}")
    else:
        yield name, "none" if node is None or node in ({}, []) else str(node)


def _at(node: JSON, keys: Sequence[str]) -> JSON:
    for key in keys:
        if not isinstance(node, Mapping):
            return None
        node = node.get(key)
    return node
