"""Fields that chat completions and responses share, as options of an answer."""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from expertrag.api.rerank import RerankMode
from expertrag.api.types import GateMode, QuestionScope
from expertrag.serving.http.openai.formats import TextFormat
from expertrag.serving.http.openai.unserved import Unserved, check_unserved, refuse

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
    scope: QuestionScope | None = None
    as_of: str | None = None

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


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, with the options of ``AsyncClient.stream``; what is ignored of the request."""

    text: str
    options: Mapping[str, Any]
    notices: tuple[str, ...] = ()


class Sampled(BaseModel, ABC):
    """A question, and how to answer it: what both APIs have."""

    model_config = ConfigDict(extra="allow")

    unserved: ClassVar[Unserved]

    model: str
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    expertrag: Extension | None = None

    @property
    @abstractmethod
    def form(self) -> TextFormat | None:
        """The form of the text; None for any."""

    @abstractmethod
    def question(self) -> Question:
        """Return the question.

        :raises InvalidArgument: a field is wrong, or not supported.
        """

    def sampling(self, seed: int | None) -> dict[str, Any]:
        """Return options of the sampling; without a seed, each sampled answer has its own."""
        top_p = 1.0 if self.top_p is None else self.top_p
        if not self.temperature:
            return {"top_p": top_p, "seed": seed or 0}
        chosen = secrets.randbelow(2**31) if seed is None else seed
        return {"temperature": self.temperature, "top_p": top_p, "seed": chosen}

    def check_extra(self) -> tuple[str, ...]:
        """Return notices about parameters that are not served.

        :raises InvalidArgument: one would change the meaning of the answer.
        """
        return check_unserved(self.model_extra or {}, self.unserved)
