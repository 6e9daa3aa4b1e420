"""Fields that chat completions and responses share, as options of an answer."""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from expertrag.api.errors import InvalidArgument
from expertrag.api.rerank import RerankMode
from expertrag.api.types import GateMode
from expertrag.http.openai.formats import TextFormat

MAX_FILTER_BYTES = 64 * 1024

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""Numbers that the server's own protocol has room for."""


class Extension(BaseModel):
    """``expertrag`` in a request (``extra_body`` of OpenAI's client): options of our own."""

    model_config = ConfigDict(extra="forbid")

    mode: GateMode | None = None
    k: Int32 | None = None
    filter: dict[str, Any] | None = None
    domain: str | None = None
    threshold: float | None = None
    steps: Int32 | None = None
    rerank: RerankMode | None = None

    def options(self) -> dict[str, Any]:
        """Return the options that are set.

        :raises InvalidArgument: the filter is too long; one of 8 MiB takes seconds to send on.
        """
        size = len(json.dumps(self.filter)) if self.filter else 0
        refuse(
            "expertrag.filter",
            size > MAX_FILTER_BYTES,
            f"has {size:,} bytes; shorten it to at most {MAX_FILTER_BYTES:,}",
        )
        return self.model_dump(exclude_none=True)


class Sampled(BaseModel, ABC):
    """A question, and how to answer it: what both APIs have."""

    model: str
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[object] | None = None
    expertrag: Extension | None = None

    @property
    @abstractmethod
    def form(self) -> TextFormat | None:
        """The form of the text; None for any."""

    @abstractmethod
    def question(self) -> tuple[str, dict[str, Any]]:
        """Return the question, and the options of ``AsyncClient.answer``.

        :raises InvalidArgument: a field is wrong, or not supported.
        """

    def sampling(self, seed: int | None) -> dict[str, Any]:
        """Return options of the sampling; without a seed, each sampled answer has its own."""
        if not self.temperature:
            return {"seed": seed or 0}
        chosen = secrets.randbelow(2**31) if seed is None else seed
        return {"temperature": self.temperature, "seed": chosen}

    def check_sampled(self) -> None:
        """Reject fields that would change the answer and are not supported."""
        refuse("tools", bool(self.tools), "calls of tools are not supported; leave it out")
        nucleus = self.top_p not in (None, 1) and bool(self.temperature)
        refuse("top_p", nucleus, "only 1 is supported; use temperature")


def refuse(field: str, sent: bool, why: str) -> None:
    """Reject a field that was sent.

    :raises InvalidArgument: if it was.
    """
    if sent:
        raise InvalidArgument(
            f"{field}: {why}", reason="UNSUPPORTED_FIELD", metadata={"field": field}
        )
