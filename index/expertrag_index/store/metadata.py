"""Flattens metadata to the form that the store keeps: names with a scalar or a list of scalars.

A mapping becomes fields with dotted names, and a list becomes one field with all its values:

    {"author": {"name": "Ada"}}             author.name = "Ada"
    {"tags": ["a", ["b"]]}                  tags = ["a", "b"]
    {"authors": [{"name": "Ada"}, …]}       authors.name = ["Ada", …]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from expertrag_index.types import MetadataValue, Scalar

LABEL = re.compile(r"[\w.:@-]{1,64}")
"""What an access label looks like."""

MOST_LEVELS = 32
MOST_VALUES = 10_000
"""Most values of one document: a few lines of YAML with aliases can expand to billions."""

T = TypeVar("T")


class NestingError(ValueError):
    """Metadata is nested too deeply, or has too many values."""


def flatten(
    metadata: Mapping[str, object], convert: Callable[[object, str], T | None]
) -> dict[str, T | list[T]]:
    """Flatten metadata. A name without any value, such as an empty list, is left out.

    :param convert: converts a leaf, given with its dotted name, to a value; None leaves it out.
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
    # values of any other type are reported when they are stored
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
        # the order of a set differs between processes, and the document would seem changed
        for inner in sorted(value, key=repr) if isinstance(value, set | frozenset) else value:
            yield from _leaves(name, inner, level + 1, True)
    else:
        yield name, value, in_list
