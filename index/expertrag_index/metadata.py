"""Metadata as the store keeps it: names with a scalar or a list of scalars each, nothing nested.

A mapping becomes fields with dotted names, and a list is one field with all its values:

    {"author": {"name": "Ada"}}             author.name = "Ada"
    {"tags": ["a", ["b"]]}                  tags = ["a", "b"]
    {"authors": [{"name": "Ada"}, …]}       authors.name = ["Ada", …]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from expertrag_index.types import MetadataValue, Scalar

MOST_LEVELS = 32
MOST_VALUES = 10_000
"""Values of one document: a few lines of YAML with aliases stand for billions."""

T = TypeVar("T")


class NestingError(ValueError):
    """Metadata is nested too deep, or has too many values."""


def flatten(
    metadata: Mapping[str, object], convert: Callable[[object, str], T | None]
) -> dict[str, T | list[T]]:
    """Flatten metadata. A name without any value is left out, an empty list among them.

    :param convert: makes a value of what is no mapping or list, given with its dotted name;
        None for what is left out.
    :raises NestingError: more than ``MOST_LEVELS`` levels or ``MOST_VALUES`` values.
    """
    collected: dict[str, list[T]] = {}
    lists: set[str] = set()
    for count, (name, leaf, in_list) in enumerate(_leaves("", metadata, 0, False), 1):
        if count > MOST_VALUES:
            raise NestingError(f"it has more than {MOST_VALUES:,} values")
        value = convert(leaf, name)
        if value is not None:
            collected.setdefault(name, []).append(value)
        if in_list:
            lists.add(name)
    return {
        name: values if name in lists or len(values) > 1 else values[0]
        for name, values in collected.items()
    }


def scalars_of(value: MetadataValue) -> list[str | int | float | bool]:
    """Return the scalars of a stored value, one or several."""
    # what is neither is told where it would be stored
    return list(value) if isinstance(value, list | tuple) else [cast("Scalar", value)]


def _leaves(
    name: str, value: object, level: int, in_list: bool
) -> Iterator[tuple[str, object, bool]]:
    """Yield ``(dotted name, leaf, whether it is in a list)`` in order."""
    if level > MOST_LEVELS:
        raise NestingError(f"it is nested deeper than {MOST_LEVELS} levels")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            dotted = f"{name}.{key}" if name else str(key)
            yield from _leaves(dotted, inner, level + 1, in_list)
    elif isinstance(value, list | tuple | set | frozenset):
        # a set's own order differs by process, and the document would seem to have changed
        for inner in sorted(value, key=repr) if isinstance(value, set | frozenset) else value:
            yield from _leaves(name, inner, level + 1, True)
    else:
        yield name, value, in_list
