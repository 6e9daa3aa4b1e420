"""Converts YAML, JSON and CSV values to metadata that can be stored and filtered."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping

from expertrag_index.loaders.base import Unreadable
from expertrag_index.metadata import NestingError, flatten
from expertrag_index.types import MetadataValue, Scalar

_LARGEST_INTEGER = 2**63 - 1
_LONGEST_NUMBERS = 100


def scalar(value: object, name: str) -> Scalar | None:
    """Convert a value to a scalar; None for a value that has no scalar form (null, bytes).

    Dates become ISO strings; integers beyond 64 bits, which no column can hold, become strings.

    :param name: name of the field, for the message.
    :raises Unreadable: a number is not finite.
    """
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise Unreadable(f"field {name!r} is not a finite number", "correct or remove it")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_INTEGER:
        return str(value)
    return value if isinstance(value, str | int | float | bool) else None


def flat_metadata(fields: Mapping[str, object]) -> dict[str, MetadataValue]:
    """Convert fields to metadata: mappings get dotted names, lists stay lists.

    :raises Unreadable: nested too deeply, too many values, or a number is not finite.
    """
    try:
        values: Mapping[str, MetadataValue] = flatten(fields, scalar)
    except NestingError as error:
        raise Unreadable(f"too much metadata: {error}", "flatten or shorten it") from None
    return {name: value for name, value in values.items() if not is_vector(value)}


def is_vector(value: object) -> bool:
    """Whether a value is a long list of numbers: an embedding, neither text nor metadata."""
    return (
        isinstance(value, list)
        and len(value) > _LONGEST_NUMBERS
        and all(isinstance(item, int | float) for item in value)
    )
