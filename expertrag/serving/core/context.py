"""The context of a call: who makes it, of which collection, and until when."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from expertrag.api.events import AnswerEvent, GateEvent, UsageEvent
from expertrag.auth import LOCAL, Caller

REQUEST_ID_KEY = "x-request-id"
"""Name of the header and of the metadata that hold a request's id."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def no_deadline() -> float | None:
    """Return None: the door sets no deadline."""
    return None


@dataclass(slots=True)
class CallContext:
    """One call at any door.

    ``method``: its name in metrics and logs, such as ``RetrieveService/Retrieve``. ``collection``:
    as the request names it; empty for the caller's default. ``remaining``: returns the seconds
    until the caller's deadline; None without one. ``size``: bytes of the request that count for
    the caller's quota. ``own``: work of the server itself, which has no deadline at all.
    ``facts`` goes to the log: numbers and enum names, never texts.
    """

    method: str
    request_id: str
    caller: Caller = LOCAL
    collection: str = ""
    remaining: Callable[[], float | None] = no_deadline
    size: int = 0
    own: bool = False
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


def request_id_of(sent: object) -> str:
    """Return the id that a client sent if it is well-formed, else a new one."""
    if isinstance(sent, str) and _REQUEST_ID.fullmatch(sent):
        return sent
    return uuid.uuid4().hex
