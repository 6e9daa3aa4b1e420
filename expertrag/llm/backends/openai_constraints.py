"""Constraints in the request format of OpenAI-compatible servers."""

from __future__ import annotations

import json

from openai.types.shared_params import ResponseFormatJSONSchema

from expertrag.api.types import Constraint
from expertrag.api.validation import invalid


def response_format(constraint: Constraint | None) -> ResponseFormatJSONSchema | None:
    """Return OpenAI's argument for a JSON Schema; None for other constraints."""
    if constraint is None or constraint.json_schema is None:
        return None
    schema = dict(constraint.json_schema)
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }


def extra_body(
    constraint: Constraint | None, *, llama_cpp: bool = False
) -> dict[str, object] | None:
    """Return the other constraints in fields of the server's own, as OpenAI has none.

    vLLM (since 0.12) has one for all of them. llama.cpp's server has only grammars, in GBNF, and
    ignores vLLM's field.

    :raises InvalidArgument: llama.cpp cannot enforce the constraint.
    """
    if constraint is None or constraint.json_schema is not None:
        return None
    if llama_cpp:
        return {"grammar": _gbnf(constraint)}
    given = {
        "regex": constraint.regex,
        "choice": constraint.choices,
        "grammar": constraint.grammar,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    return {"structured_outputs": wanted}


def _gbnf(constraint: Constraint) -> str:
    """Return choices as a grammar for llama.cpp."""
    if constraint.choices is None:
        field = "regex" if constraint.regex is not None else "grammar"
        raise invalid(
            f"constraint.{field}",
            "llama.cpp's server cannot enforce it; use a JSON schema or choices, or vLLM",
        )
    return "root ::= " + " | ".join(
        json.dumps(choice, ensure_ascii=False) for choice in constraint.choices
    )
