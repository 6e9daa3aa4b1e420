"""The enums of messages: their numbers, by the names that the proto files give them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Generic, TypeVar

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from expertrag.api.contrast import WeakSide
from expertrag.api.documents import DocumentOrder
from expertrag.api.rerank import RerankMode
from expertrag.api.turns import TurnRole
from expertrag.api.types import FinishReason, GateAction, GateMode, SearchMode
from expertrag.api.validation import invalid
from expertrag.v1 import answer_pb2, conversation_pb2, document_pb2, gate_pb2, retrieve_pb2

E = TypeVar("E", bound=StrEnum)


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
