"""Bodies of the console's requests; fields and limits are as in the client's methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from expertrag.api.turns import Turn, TurnRole
from expertrag.api.types import DocumentInput
from expertrag.serving.http.body import Items


class Body(BaseModel):
    """A body; an empty ``collection`` is the caller's default."""

    model_config = ConfigDict(extra="forbid")

    collection: str = ""


class Said(BaseModel):
    """A turn of a conversation."""

    role: Literal["user", "assistant"]
    text: str


class QuestionBody(Body):
    """A question, the conversation before it, and the mode of the gate; None is the default."""

    question: str
    mode: str | None = None
    threshold: float | None = None
    history: Items[Said] = Field(default_factory=list)

    def turns(self) -> list[Turn]:
        """Return the conversation."""
        return [Turn(TurnRole(said.role), said.text) for said in self.history]


class Asked(QuestionBody):
    """A question that is to be answered."""

    k: int | None = None
    filter: Mapping[str, Any] | None = None
    max_tokens: int | None = None
    scope: str | None = None
    as_of: str = ""

    def options(self) -> dict[str, Any]:
        """Return what of it is set, as arguments of ``stream``."""
        given = {"k": self.k, "max_tokens": self.max_tokens, "threshold": self.threshold}
        known = {name: value for name, value in given.items() if value is not None}
        about = {"scope": self.scope, "as_of": self.as_of, "filter": self.filter}
        return {**known, **about, "mode": self.mode, "history": self.turns()}


class Searched(Body):
    """A search."""

    query: str
    k: int = 5
    filter: Mapping[str, Any] | None = None
    mode: str = "hybrid"


class Rated(Body):
    """Feedback on an answer."""

    answer_id: str
    helpful: bool | None = None
    correct_answer: str | None = None
    query: str | None = None


class Paged(Body):
    """A page of a list."""

    page_size: int = 50
    page_token: str = ""


class Listed(Paged):
    """A page of the documents of a collection."""

    filter: Mapping[str, Any] | None = None
    order: str = "id"


class Opened(Body):
    """A document, or its characters from ``start`` to ``end``."""

    id: str
    start: int = 0
    end: int | None = None


class OpenedChunks(Body):
    """A page of the chunks of a document."""

    id: str
    page_size: int = 100
    page_token: str = ""


class Uploaded(BaseModel):
    """A document to add or replace."""

    model_config = ConfigDict(extra="forbid")

    id: str
    text: str
    title: str = ""
    domain: str | None = None
    metadata: Mapping[str, Any] = Field(default_factory=dict)

    def document(self) -> DocumentInput:
        """Return it as the client takes it."""
        return DocumentInput(self.id, self.text, self.title, self.domain, self.metadata)


class UploadBody(Body):
    """Documents to add or replace."""

    documents: Items[Uploaded] = Field(min_length=1)


class Deletion(Body):
    """Ids of documents to delete."""

    ids: Items[str] = Field(min_length=1)


class Replayed(Body):
    """Another policy for the decisions of the audit log; one field is set."""

    threshold: float | None = None
    target_rate: float | None = None


class QuestionsWanted(Body):
    """How many questions of the audit log to list."""

    limit: int = 50


class Counted(Body):
    """Into how many periods the time of the audit log is divided at most."""

    periods: int = 24
