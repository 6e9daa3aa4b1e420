"""``expertrag`` in a response: what OpenAI's format has no place for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from expertrag.api.jsonable import to_json
from expertrag.api.types import Answer


def extension_of(answer: Answer, notices: Sequence[str]) -> dict[str, Any]:
    """Return the gate's decision, the passages, the table, the support and the cost of an answer.

    :param notices: what of the request was ignored.
    """
    names = (
        "id",
        "decision",
        "passages",
        "citations",
        "table",
        "coverage",
        "finish_reason",
        "support",
        "p_sufficient",
        "from_documents",
        "unsupported_reason",
        "generation",
        "model",
        "usage",
    )
    return {**{name: to_json(getattr(answer, name)) for name in names}, "notices": list(notices)}
