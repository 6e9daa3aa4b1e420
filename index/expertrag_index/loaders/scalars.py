"""Metadata values: what of YAML, JSON and CSV can be stored and filtered by."""

from __future__ import annotations

import datetime
import math

from expertrag_index.loaders.base import Unreadable
from expertrag_index.types import Scalar

_LARGEST_INTEGER = 2**63 - 1


def scalar(value: object, name: str) -> Scalar | None:
    """Turn a value into a scalar; None for what is none (lists, objects, null).

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
