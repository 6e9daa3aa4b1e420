"""Structured output of the LangChain chat model: the constraint of a schema, and its parser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.exceptions import ModelRefusalError, OutputParserException
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import JsonOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

from expertrag.api.types import Constraint, FinishReason

METHODS = ("json_schema", "json_mode", "function_calling")


def constraint_of(schema: Any, *, closed: bool) -> Constraint:
    """Return the constraint that an answer obeys to be parsed as a schema.

    :param schema: a pydantic class, a TypedDict, a function or a JSON Schema; None for any object.
    :param closed: objects whose schema does not say so have no further properties.
    """
    json_schema = _json_schema(schema)
    return Constraint(json_schema=_close_objects(json_schema) if closed else json_schema)


def _json_schema(schema: Any) -> Mapping[str, Any]:
    if schema is None:
        return {"type": "object"}
    if isinstance(schema, Mapping) and not {"parameters", "function"} & schema.keys():
        return schema
    if pydantic_class(schema):  # its own, which has more than LangChain's
        pydantic_schema: Mapping[str, Any]
        pydantic_schema = (
            schema.model_json_schema() if issubclass(schema, BaseModel) else schema.schema()
        )
        return pydantic_schema
    return convert_to_json_schema(schema)


def pydantic_class(schema: Any) -> Any:
    """Return a schema that is a pydantic class, whose objects are then the output; else None."""
    return schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None


def _close_objects(schema: Any) -> Any:
    """Return a schema whose objects with properties have no others, unless it says otherwise."""
    if isinstance(schema, list | tuple):
        return [_close_objects(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    result = {key: _close_objects(value) for key, value in schema.items()}
    if isinstance(result.get("properties"), Mapping) and result.get("type") == "object":
        result.setdefault("additionalProperties", False)
    return result


class StructuredOutputParser(JsonOutputParser):
    """Parses an answer that was constrained to a schema.

    A stream yields the object as far as it is known; a pydantic object comes once, at the end.
    """

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Return the object; None if it is not known yet.

        :raises ModelRefusalError: the answer is an abstention.
        :raises OutputParserException: it was cut, or a validator of the class rejects it.
        """
        generation = result[0]
        assert isinstance(generation, ChatGeneration)
        finished = generation.message.response_metadata.get("finish_reason")
        if finished:
            _check_complete(generation.message, finished)
        parsed = super().parse_result(result, partial=partial)
        if self.pydantic_object is None:
            return parsed
        return self._object(parsed, generation.text) if finished else None

    def _object(self, parsed: Any, text: str) -> Any:
        kind: Any = self.pydantic_object
        try:
            if issubclass(kind, BaseModel):
                return kind.model_validate(parsed)
            return kind.parse_obj(parsed)
        except (ValidationError, ValidationErrorV1) as error:
            raise OutputParserException(
                f"the answer is not a valid {kind.__name__}: {error}", llm_output=text
            ) from error


def _check_complete(message: BaseMessage, finish_reason: str) -> None:
    text = str(message.text)
    if finish_reason == FinishReason.ABSTAINED:
        raise ModelRefusalError(
            f"an abstention has no structure; it says: {text}", raw_message=message
        )
    if finish_reason == FinishReason.LENGTH:
        raise OutputParserException(
            "the answer was cut before it was complete; raise max_tokens, or ask for less",
            llm_output=text,
        )
