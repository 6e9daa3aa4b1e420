"""Conversion of value objects to messages and back, by the names of their fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NamedTuple,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct, Value

from expertrag.api.contrast import WeakSide
from expertrag.api.documents import DocumentOrder
from expertrag.api.errors import InvalidArgument
from expertrag.api.rerank import RerankMode
from expertrag.api.turns import TurnRole
from expertrag.api.types import FinishReason, GateAction, GateMode, QuestionScope, SearchMode
from expertrag.api.validation import MAX_EXACT_INT, check_exact, check_no_null, invalid
from expertrag.v1 import answer_pb2, conversation_pb2, document_pb2, gate_pb2, retrieve_pb2

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

E = TypeVar("E", bound=StrEnum)
M = TypeVar("M", bound=Message)
V = TypeVar("V", bound="DataclassInstance")

_STRUCT = Struct.DESCRIPTOR.full_name


class EnumMap(Generic[E]):
    """One-to-one map between a ``StrEnum`` and the numbers of a proto enum."""

    def __init__(
        self, field: str, kind: type[E], numbers: EnumTypeWrapper, *, unset: E | None = None
    ) -> None:
        """Map number 0 to ``unset``; without ``unset``, 0 is an error like any unknown number."""
        self._field = field
        prefix = numbers.Name(0).removesuffix("UNSPECIFIED")
        self._numbers = {value: numbers.Value(prefix + value.name) for value in kind}
        self._values: dict[int, E] = {number: value for value, number in self._numbers.items()}
        if unset is not None:
            self._values[0] = unset

    def to_proto(self, value: E | str) -> Any:
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


MODES = EnumMap("mode", GateMode, gate_pb2.GateMode)
ENUMS: Mapping[type[StrEnum], EnumMap[Any]] = {
    GateMode: MODES,
    GateAction: EnumMap("action", GateAction, gate_pb2.GateAction),
    QuestionScope: EnumMap("scope", QuestionScope, gate_pb2.QuestionScope),
    SearchMode: EnumMap("mode", SearchMode, retrieve_pb2.SearchMode, unset=SearchMode.HYBRID),
    RerankMode: EnumMap("rerank", RerankMode, retrieve_pb2.RerankMode, unset=RerankMode.AUTO),
    FinishReason: EnumMap("finish_reason", FinishReason, answer_pb2.FinishReason),
    WeakSide: EnumMap("contrast.weak", WeakSide, answer_pb2.WeakSide),
    DocumentOrder: EnumMap(
        "order", DocumentOrder, document_pb2.DocumentOrder, unset=DocumentOrder.ID
    ),
    TurnRole: EnumMap("history.role", TurnRole, conversation_pb2.TurnRole),
}
"""The map of each enum that a field of a value object may have."""


def request_of(kind: type[M], value: DataclassInstance, **converted: Any) -> M:
    """Return the request with the fields of a dataclass; see :func:`message_of`.

    :raises InvalidArgument: a value that the caller gave does not fit the message.
    """
    with fits_the_wire():
        return message_of(kind, value, **converted)


def message_of(kind: type[M], value: DataclassInstance, **converted: Any) -> M:
    """Return the message with the fields of a dataclass, by their names.

    Fields that the message does not have are left out.

    :param converted: fields of other types in the message, already converted.
    """
    known, parts = kind.DESCRIPTOR.fields_by_name, _parts_of(type(value))
    given = {
        field.name: _to_field(known[field.name], parts.get(field.name), getattr(value, field.name))
        for field in fields(value)
        if field.name in known and field.name not in converted
    }
    return kind(**given, **converted)


def value_of(kind: type[V], message: Message, **converted: Any) -> V:
    """Return the dataclass with the fields of a message, by their names.

    A field that is unset, or that the message does not have, has its default, or None if it has
    none.

    :param converted: fields of other types or names in the message, already converted.
    """
    known, parts = message.DESCRIPTOR.fields_by_name, _parts_of(kind)
    given = {}
    for field in fields(kind):
        name, part = field.name, parts.get(field.name)
        if name in converted or name not in known:
            continue
        if part is not None and not (part.optional and not _is_set(message, name)):
            given[name] = _from_part(part, getattr(message, name))
        elif field.default is MISSING or _is_set(message, name):
            given[name] = _plain(message, name)
    return kind(**given, **converted)


class _Part(NamedTuple):
    """A field of a value object that holds value objects or an enum."""

    kind: type[Any]
    many: bool
    optional: bool


@cache
def _parts_of(kind: type[Any]) -> Mapping[str, _Part]:
    """Return the fields of a dataclass that hold value objects or an enum, by name."""
    parts = {}
    for name, hint in get_type_hints(kind).items():
        options = get_args(hint) or (hint,)
        if is_dataclass(options[0]) or options[0] in ENUMS:
            many, optional = get_origin(hint) is tuple, NoneType in options
            parts[name] = _Part(options[0], many, optional)
    return parts


def _to_field(field: Any, part: _Part | None, value: Any) -> Any:
    """Return what the message takes for a field, given the field's descriptor."""
    if field.message_type is not None and field.message_type.full_name == _STRUCT:
        return struct_to_proto(field.name, value)
    if part is None or (part.optional and value is None):
        return value
    if issubclass(part.kind, StrEnum):
        return ENUMS[part.kind].to_proto(value)
    message = GetMessageClass(field.message_type)
    if part.many:
        return [message_of(message, item) for item in value]
    return message_of(message, value)


def _from_part(part: _Part, value: Any) -> Any:
    if issubclass(part.kind, StrEnum):
        return ENUMS[part.kind].from_proto(value)
    if part.many:
        return tuple(value_of(part.kind, item) for item in value)
    return value_of(part.kind, value)


def _is_set(message: Message, name: str) -> bool:
    return not message.DESCRIPTOR.fields_by_name[name].has_presence or message.HasField(name)


def _plain(message: Message, name: str) -> Any:
    value = getattr(message, name)
    if isinstance(value, Struct):
        return metadata_from_proto(value) if name == "metadata" else struct_from_proto(value)
    if not _is_set(message, name):
        return None
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


def metadata_from_proto(struct: Struct) -> dict[str, Any]:
    """Return a mapping of strings, numbers, booleans, lists and mappings, none of them null."""
    metadata = struct_from_proto(struct)
    check_no_null("metadata", metadata)
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
