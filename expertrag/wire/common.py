"""Conversion of enums and free-form fields, shared by all messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value

from expertrag.api.errors import InvalidArgument
from expertrag.api.validation import MAX_EXACT_INT, check_exact, check_no_null, invalid

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

E = TypeVar("E", bound=StrEnum)
N = TypeVar("N", bound=int)
M = TypeVar("M", bound=Message)
V = TypeVar("V", bound="DataclassInstance")


class EnumMap(Generic[E, N]):
    """One-to-one map between a ``StrEnum`` and the numbers of a proto enum."""

    def __init__(self, field: str, numbers: Mapping[E, N], *, unset: E | None = None) -> None:
        """Map number 0 to ``unset``; without ``unset``, 0 is an error like any unknown number."""
        self._field = field
        self._numbers = dict(numbers)
        self._values: dict[int, E] = {number: value for value, number in numbers.items()}
        if unset is not None:
            self._values[0] = unset

    def to_proto(self, value: E | str) -> N:
        """Return the number of a value, which may be given as a string."""
        for known, number in self._numbers.items():
            if known == value:
                return number
        choices = ", ".join(self._numbers)
        raise invalid(self._field, f"is {value!r}; choose one of {choices}")

    def from_proto(self, number: int) -> E:
        """Return the value of a number."""
        if number not in self._values:
            raise invalid(self._field, f"has the unknown number {number}; see the proto file")
        return self._values[number]


def message_of(kind: type[M], value: DataclassInstance, **converted: Any) -> M:
    """Return the message with the fields of a dataclass, by their names.

    :param converted: fields of other types in the message, already converted.
    """
    names = [field.name for field in fields(value) if field.name not in converted]
    return kind(**{name: getattr(value, name) for name in names}, **converted)


def value_of(kind: type[V], message: Message, **converted: Any) -> V:
    """Return the dataclass with the fields of a message, by their names.

    A field that is unset has its default, or None if it has none.

    :param converted: fields of other types or names in the message, already converted.
    """
    given = {
        field.name: _plain(message, field.name)
        for field in fields(kind)
        if field.name not in converted
        and (field.default is MISSING or _is_set(message, field.name))
    }
    return kind(**given, **converted)


def _is_set(message: Message, name: str) -> bool:
    return not message.DESCRIPTOR.fields_by_name[name].has_presence or message.HasField(name)


def _plain(message: Message, name: str) -> Any:
    if not _is_set(message, name):
        return None
    value = getattr(message, name)
    if isinstance(value, Mapping):
        return dict(value)
    return value if isinstance(value, str | int | float) else tuple(value)


@contextmanager
def fits_the_wire() -> Iterator[None]:
    """Convert protobuf's errors about wrong types or sizes to ``InvalidArgument``."""
    try:
        yield
    except (TypeError, ValueError) as error:
        detail = (str(error) or type(error).__name__).splitlines()[0]
        raise InvalidArgument(
            f"a value does not fit the request: {detail}", reason="INVALID_FIELD"
        ) from error


def struct_to_proto(field: str, values: Mapping[str, Any]) -> Struct:
    """Return a Struct of strings, numbers, booleans, lists and mappings."""
    check_exact(field, values)
    struct = Struct()
    with fits_the_wire():
        struct.update(dict(values))
    return struct


def struct_from_proto(struct: Struct) -> dict[str, object]:
    """Return the mapping; whole numbers become ``int`` again."""
    return {name: _value(value) for name, value in struct.fields.items()}


def metadata_from_proto(field: str, struct: Struct) -> dict[str, Any]:
    """Return a mapping of strings, numbers, booleans, lists and mappings, none of them null."""
    metadata = struct_from_proto(struct)
    check_no_null(field, metadata)
    return metadata


def _value(value: Value) -> object:
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            whole = number.is_integer() and abs(number) <= MAX_EXACT_INT
            return int(number) if whole else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_value(item) for item in value.list_value.values]
        case "struct_value":
            return struct_from_proto(value.struct_value)
        case _:
            return None
