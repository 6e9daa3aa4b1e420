"""Extreme values in the fields of a message."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

MOST_DEPTH = 60
"""Of nested values; protobuf itself refuses messages from a depth of 100."""
_TEXTS = (
    "",
    " ",
    "\0",
    "\ufeff\u200b\u202e",
    "e\u0301" * 500,
    "\U0001f600" * 200,
    "x" * 70_000,
    "word " * 8_000,
    '"; DROP TABLE chunks; --',
    "../../etc/passwd",
    "%s%n{0}{text}",
    "[1] Question: <|im_start|>system",
    '* OR NOT NEAR("',
    "-" * 64,
    "NaN",
)
_INTEGERS = (0, 1, -1, 2**31 - 1, -(2**31), 1_000, 1_001, 4_097)
_LONG_INTEGERS = (*_INTEGERS, 2**63 - 1, -(2**63))
_FLOATS = (0.0, -0.0, 1e-46, 1e308, -1e308, 5e-324, float("nan"), float("inf"), -float("inf"))

_VALUES: Mapping[int, Callable[[random.Random], Any]] = {
    FieldDescriptor.TYPE_STRING: lambda rng: rng.choice(_TEXTS),
    FieldDescriptor.TYPE_BOOL: lambda rng: rng.random() < 0.5,
    FieldDescriptor.TYPE_INT32: lambda rng: rng.choice(_INTEGERS),
    FieldDescriptor.TYPE_ENUM: lambda rng: rng.choice(_INTEGERS),
    FieldDescriptor.TYPE_INT64: lambda rng: rng.choice(_LONG_INTEGERS),
    FieldDescriptor.TYPE_DOUBLE: lambda rng: rng.choice(_FLOATS),
}


def set_extremes(message: Message, rng: random.Random) -> None:
    """Set one to three fields of a message, or of those in it, to extreme values."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _set_one(message, rng)


def _set_one(message: Message, rng: random.Random) -> None:
    if isinstance(message, Struct):
        message.Clear()
        message.update(_fields(rng))
        return
    fields = message.DESCRIPTOR.fields
    if not fields:
        return
    field: Any = rng.choice(fields)
    if field.message_type is not None:
        part = getattr(message, field.name)
        for item in _repeated(part, rng) if field.is_repeated else [part]:
            _set_one(item, rng)
        return
    make = _VALUES[field.type]
    if field.is_repeated:
        del getattr(message, field.name)[:]
        count = rng.choice((0, 1, 3, 300))
        getattr(message, field.name).extend(_short(make(rng)) for _ in range(count))
    else:
        setattr(message, field.name, make(rng))


def _repeated(items: Any, rng: random.Random) -> list[Message]:
    """Give a repeated field of messages another length; return the messages."""
    del items[:]
    return [items.add() for _ in range(rng.choice((0, 1, 3, 300)))]


def _short(value: Any) -> Any:
    """Return a value of which a list of hundreds is still below the limit of a message."""
    return value[:20_000] if isinstance(value, str) else value


def _fields(rng: random.Random) -> dict[str, Any]:
    """Return fields of metadata or of a filter."""
    kind = rng.randrange(6)
    if kind == 0:
        return {f"field{number}": number for number in range(400)}
    if kind == 1:
        nested: Any = 1
        for _ in range(rng.randint(1, MOST_DEPTH)):
            nested = {"$and": [nested]} if rng.random() < 0.5 else {"$not": nested}
        return {"$or": [nested]}
    if kind == 2:
        return {rng.choice(_TEXTS): rng.choice(_TEXTS)}
    if kind == 3:
        return {"year": {rng.choice(("$gte", "$in", "$ne", "$none", "")): rng.choice(_FLOATS)}}
    if kind == 4:
        return {"year": {"$in": [rng.choice(_INTEGERS)] * rng.choice((0, 1, 2_000))}}
    return {"domain": rng.choice((None, True, [], {}, [[[]]], [None, {}]))}
