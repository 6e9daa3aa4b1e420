"""Constraints in the request format of OpenAI-compatible servers."""

from __future__ import annotations

from openai.types.shared_params import ResponseFormatJSONSchema

from expertrag.api.types import Constraint


def response_format(constraint: Constraint | None) -> ResponseFormatJSONSchema | None:
    """Return OpenAI's argument for a JSON Schema; None for other constraints."""
    if constraint is None or constraint.json_schema is None:
        return None
    schema = dict(constraint.json_schema)
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }


def extra_body(constraint: Constraint | None) -> dict[str, object] | None:
    """Return the other constraints in vLLM's field for them (since 0.12); OpenAI has none."""
    if constraint is None or constraint.json_schema is not None:
        return None
    given = {
        "regex": constraint.regex,
        "choice": constraint.choices,
        "grammar": constraint.grammar,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    return {"structured_outputs": wanted}
