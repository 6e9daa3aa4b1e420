"""State of the call being served, for its log line and metrics."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field

from expertrag.api.types import AnswerEvent, GateEvent, UsageEvent
from expertrag.auth import LOCAL, Caller
from expertrag.serving.grpc.status import REQUEST_ID_KEY

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(slots=True)
class Call:
    """One call. ``facts`` goes to the log: numbers and enum names, never texts."""

    method: str
    request_id: str
    caller: Caller = LOCAL
    started: float = field(default_factory=time.perf_counter)
    facts: dict[str, str | int | float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Time since the call arrived."""
        return time.perf_counter() - self.started

    def note(self, event: AnswerEvent) -> None:
        """Record the facts of an answer that are logged."""
        match event:
            case GateEvent():
                self.facts["gate"] = event.decision.action.value
                self.facts["answer_id"] = event.decision.id
            case UsageEvent():
                self.facts["prompt_tokens"] = event.usage.prompt_tokens
                self.facts["completion_tokens"] = event.usage.completion_tokens


CALL: ContextVar[Call] = ContextVar("expertrag_call")
"""Set by the interceptor around every servicer method."""


def request_id_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """Return the client's ``x-request-id`` if it is well-formed, else a new id."""
    for key, value in metadata or ():
        if key == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex
