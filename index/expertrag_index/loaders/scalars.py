"""Converts YAML, JSON and CSV values to metadata that can be stored and filtered."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping

from expertrag_index.loaders.base import Report
from expertrag_index.metadata import MOST_VALUES, NestingError, flatten, scalars_of
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
    if all(isinstance(value, str | int | float) for value in fields.values()):
        plain = ((name, scalar(value, name)) for name, value in fields.items())
        return {name: value for name, value in plain if value is not None}
    try:
        return _flat(fields)
    except NestingError as error:
        if len(fields) == 1:
            report(
                f"the metadata field {next(iter(fields))!r} is left out: {error}",
                "flatten or shorten it to filter by it",
                notice=True,
            )
            return {}
    metadata: dict[str, MetadataValue] = {}
    count = 0
    for name, value in fields.items():
        own = metadata_within_limits({name: value}, report)
        count += sum(len(scalars_of(each)) for each in own.values())
        if count > MOST_VALUES:
            report(
                f"the metadata from field {name!r} on is left out: over {MOST_VALUES:,} values",
                "shorten it to filter by it",
                notice=True,
            )
            break
        metadata |= own
    return metadata


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
