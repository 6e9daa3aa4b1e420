"""Constraints as OpenAI-compatible servers take them."""

from __future__ import annotations

from openai.types.shared_params import ResponseFormatJSONSchema

from expertrag.api.types import Constraint


def response_format(constraint: Constraint | None) -> ResponseFormatJSONSchema | None:
    """Return OpenAI's argument for a JSON Schema; None for everything else."""
    if constraint is None or constraint.json_schema is None:
        return None
    schema = dict(constraint.json_schema)
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }


def extra_body(constraint: Constraint | None) -> dict[str, object] | None:
    """Return what OpenAI has no argument for, in the field that vLLM has for it since 0.12."""
    if constraint is None or constraint.json_schema is not None:
        return None
    given = {
        "regex": constraint.regex,
        "choice": constraint.choices,
        "grammar": constraint.grammar,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    return {"structured_outputs": wanted}
