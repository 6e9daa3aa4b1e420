"""The form of an answer's text that a request asks for, as a constraint of decoding."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from expertrag.api.types import Constraint
from expertrag.api.validation import invalid


class JsonSchema(BaseModel):
    """A named schema; JSON has ``schema`` where a model of pydantic has a method."""

    model_config = ConfigDict(protected_namespaces=())

    name: str = ""
    body: dict[str, object] | None = Field(None, alias="schema")


class TextFormat(JsonSchema):
    """``response_format`` of chat completions, and ``text.format`` of responses."""

    type: str
    json_schema: JsonSchema | None = None


def constraint_of(asked: TextFormat | None, field: str) -> Constraint | None:
    """Return the constraint for a format; None for plain text.

    :param field: name of the format in the request, for errors.
    """
    match asked.type if asked else "text":
        case "text":
            return None
        case "json_object":
            return Constraint(json_schema={"type": "object"})
        case "json_schema":
            assert asked is not None
            schema = asked.body if asked.json_schema is None else asked.json_schema.body
            if schema is None:
                raise invalid(field, "has no schema; add one, or use json_object")
            return Constraint(json_schema=schema)
        case other:
            raise invalid(field, f"has the type {other!r:.40}; use text or json_schema")
