"""Metadata values: what of YAML, JSON and CSV can be stored and filtered by."""

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
    """Turn a value into a scalar; None for what is none (null, bytes).

    Dates become ISO strings, and integers beyond 64 bits, which no column holds, strings.

    :param name: of the field, for the message.
    :raises Unreadable: a number that is not finite.
    """
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise Unreadable(f"field {name!r} is not a finite number", "correct or remove it")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_INTEGER:
        return str(value)
    return value if isinstance(value, str | int | float | bool) else None


def flat_metadata(fields: Mapping[str, object]) -> dict[str, MetadataValue]:
    """Turn fields into metadata: mappings get dotted names, lists stay lists.

    :raises Unreadable: nested too deep, too many values, or a number that is not finite.
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
