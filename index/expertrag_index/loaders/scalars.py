"""Converts YAML, JSON and CSV values to metadata that can be stored and filtered."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping

from expertrag_index.loaders.base import Report
from expertrag_index.store.metadata import MOST_VALUES, NestingError, flatten, scalars_of
from expertrag_index.types import MetadataValue, Scalar

_LARGEST_INTEGER = 2**63 - 1
_LONGEST_NUMBERS = 100


def scalar(value: object, name: str) -> Scalar | None:
    """Convert a value to a scalar; None for a value that has no scalar form (null, bytes, NaN).

    Dates become ISO strings; integers beyond 64 bits, which no column can hold, become strings.

    :param name: name of the field, which the conversion does not need.
    """
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_INTEGER:
        return str(value)
    return value if isinstance(value, str | int | float | bool) else None


def metadata_within_limits(
    fields: Mapping[str, object], report: Report
) -> dict[str, MetadataValue]:
    """Convert fields to metadata: mappings get dotted names, lists stay lists.

    A field that is nested too deeply or has too many values is reported and left out.
    """
    if all(map(_is_plain, fields, fields.values())):
        plain = ((name, scalar(value, name)) for name, value in fields.items())
        return {name: value for name, value in plain if value is not None}
    try:
        return _flat(fields)
    except NestingError as error:
        reason = str(error)
    metadata: dict[str, MetadataValue] = {}
    left: list[str] = []
    count = 0
    for name, value in fields.items():
        try:
            own = _flat({name: value})
        except NestingError as error:
            reason = str(error)
            left.append(name)
            continue
        count += sum(len(scalars_of(each)) for each in own.values())
        if count <= MOST_VALUES:
            metadata |= own
        else:
            left.append(name)
    names = ", ".join(map(repr, left[:3])) + (", …" if len(left) > 3 else "")
    cure = "flatten or shorten it to filter by it"
    report(f"left out of the metadata: {names}: {reason}", cure, notice=True)
    return metadata


def _is_plain(name: object, value: object) -> bool:
    """Whether a field is stored as it is; YAML also names fields by numbers, dates and ``on``."""
    return isinstance(name, str) and isinstance(value, str | int | float)


def _flat(fields: Mapping[str, object]) -> dict[str, MetadataValue]:
    values: Mapping[str, MetadataValue] = flatten(fields, scalar)
    return {name: value for name, value in values.items() if not is_vector(value)}


def is_vector(value: object) -> bool:
    """Whether a value is a long list of numbers: an embedding, neither text nor metadata."""
    return (
        isinstance(value, list)
        and len(value) > _LONGEST_NUMBERS
        and all(isinstance(item, int | float) for item in value)
    )
