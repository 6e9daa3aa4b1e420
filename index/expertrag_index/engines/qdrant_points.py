"""Chunks as points of Qdrant, and metadata filters as its conditions.

    id           key of the chunk
    vector       float16 [D]
    expert, added_in, removed_in
    labels       access labels; EVERYBODY for a document without any
    values       a digest for each name and value of a field
    n and a digest of a name: the numbers of this field

Names and values may hold any character, which the path of a field in Qdrant may not. Equal numbers
have one digest, while Qdrant itself takes 1, 1.0 and true for different values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from qdrant_client import models

from expertrag_index.search.vector_rows import HalfArray
from expertrag_index.search.vector_store import Value, VectorBatch
from expertrag_index.types import Filter, KeyArray

EVERYBODY = "*"
"""The label of documents without access labels; no label of a document looks like this."""

FLOATS = 400_000
"""Numbers of vectors in one request: 8 MB of JSON; a server accepts 32 MB."""

_EXACT = 1 << 53  # integers below are exact as float64, which Qdrant compares
_ORDER = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
_OR_EQUAL = {"$gt": "gte", "$gte": "gte", "$lt": "lte", "$lte": "lte"}


@dataclass(slots=True)
class Conditions:
    """What a filter asks of points.

    ``whole``: it is all that the filter asks; if not, more points may match than the filter admits.
    """

    must: list[models.Condition] = field(default_factory=list)
    must_not: list[models.Condition] = field(default_factory=list)
    whole: bool = True


def conditions(wanted: Filter) -> Conditions:
    """Translate a filter, which has been checked (see ``expertrag_index.search.filters``).

    Qdrant cannot express the order of texts, nor the order of integers that float64 rounds.
    """
    result = Conditions()
    for name, condition in wanted.items():
        operators = condition if isinstance(condition, Mapping) else {"$eq": condition}
        for operator, value in operators.items():
            _add(result, name, operator, value)
    return result


def of_generation(
    generation: int,
    must: Iterable[models.Condition] = (),
    must_not: Iterable[models.Condition] = (),
) -> models.Filter:
    """Return the filter of the chunks of a generation that also meet conditions."""
    since = models.FieldCondition(key="added_in", range=models.Range(lte=generation))
    until = models.FieldCondition(key="removed_in", range=models.Range(gt=generation))
    return models.Filter(must=[*must, since, until], must_not=list(must_not) or None)


def with_keys(keys: KeyArray) -> models.Filter:
    """Return the filter of the chunks with some keys."""
    return models.Filter(must=[models.HasIdCondition(has_id=keys.tolist())])


def is_one_of(name: str, values: Iterable[str]) -> models.FieldCondition:
    """Return the condition that a field has one of some texts."""
    return models.FieldCondition(key=name, match=models.MatchAny(any=list(values)))


def _add(conditions: Conditions, name: str, operator: str, value: object) -> None:
    values = list(value) if operator == "$in" and isinstance(value, Iterable) else [value]
    if operator in _ORDER:
        _add_order(conditions, name, operator, value)
    elif not values:
        conditions.whole = False  # SQLite takes a number for its text in a column of texts
    elif operator == "$ne":
        conditions.must_not.append(is_one_of("values", [_digest(name, value)]))
    else:
        conditions.must.append(is_one_of("values", [_digest(name, item) for item in values]))


def _add_order(conditions: Conditions, name: str, operator: str, value: object) -> None:
    if not isinstance(value, int | float):
        conditions.whole = False
        return
    exact = abs(value) < _EXACT
    compared = _ORDER[operator] if exact else _OR_EQUAL[operator]
    limits = models.Range(**{compared: float(value)})
    conditions.must.append(models.FieldCondition(key=number_field(name), range=limits))
    conditions.whole &= exact


def number_field(name: str) -> str:
    """Return the field of a point with the numbers of a metadata field."""
    return "n" + hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def _digest(name: str, value: object) -> str:
    """Return the digest of a name and a value; equal numbers have the same digest."""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    return hashlib.blake2b(json.dumps([name, value]).encode(), digest_size=12).hexdigest()


def requests(batch: VectorBatch) -> Iterator[models.Batch]:
    """Yield the chunks as points, in parts that a server accepts."""
    size = max(1, FLOATS // batch.vectors.shape[1])
    for start in range(0, len(batch.keys), size):
        part = slice(start, start + size)
        yield models.Batch(
            ids=batch.keys[part].tolist(),
            vectors=batch.vectors[part].astype(np.float32).tolist(),
            payloads=[_payload(batch, row) for row in range(len(batch.keys))[part]],
        )


def _payload(batch: VectorBatch, row: int) -> dict[str, object]:
    return {
        "expert": batch.experts[row],
        "added_in": int(batch.added_in[row]),
        "removed_in": int(batch.removed_in[row]),
        "labels": list(batch.labels[row]) or [EVERYBODY],
        **_fields(batch.fields[row]),
    }


def _fields(fields: Mapping[str, Sequence[Value]]) -> dict[str, list[Value]]:
    digests = {_digest(name, value) for name, values in fields.items() for value in values}
    result: dict[str, list[Value]] = {"values": sorted(digests)}
    for name, values in fields.items():
        if numbers := sorted({float(value) for value in values if not isinstance(value, str)}):
            result[number_field(name)] = list(numbers)
    return result


def number_fields(batch: VectorBatch) -> set[str]:
    """Return the fields of points with the numbers of these chunks."""
    return {
        number_field(name)
        for fields in batch.fields
        for name, values in fields.items()
        if any(not isinstance(value, str) for value in values)
    }


def as_stored(batch: VectorBatch) -> VectorBatch:
    """Return chunks with the fields that their points have, to compare them."""
    return VectorBatch(
        batch.keys,
        batch.added_in,
        batch.removed_in,
        batch.experts,
        batch.vectors,
        [_fields(each) for each in batch.fields],
        [list(each) or [EVERYBODY] for each in batch.labels],
    )


def from_records(records: Sequence[models.Record], dimension: int) -> VectorBatch:
    """Return the chunks of points, with the fields that the points have."""
    payloads = [dict(record.payload or {}) for record in records]
    return VectorBatch(
        keys_of(records),
        np.array([each.pop("added_in", 0) for each in payloads], np.int64),
        np.array([each.pop("removed_in", 0) for each in payloads], np.int64),
        [str(each.pop("expert", "")) for each in payloads],
        vectors_of(records, dimension),
        labels=[each.pop("labels", []) for each in payloads],
        fields=payloads,  # what is left
    )


def vectors_of(records: Sequence[models.Record], dimension: int) -> HalfArray:
    """Return the vectors [N, D] of points."""
    vectors = np.array([record.vector for record in records], np.float16)
    return vectors.reshape(len(records), dimension)


def keys_of(points: Iterable[models.Record | models.ScoredPoint]) -> KeyArray:
    """Return the keys of points."""
    return np.array([int(point.id) for point in points], np.int64)
