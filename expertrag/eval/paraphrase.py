"""Other wordings of a question that mean the same.

Those that the data set brings come first; then mechanical rewrites, which no language model made:
what changes is case, punctuation, spacing, the opening, a contraction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from expertrag.data.datasets import Query

ORIGINAL = "original"
PARAPHRASE = "paraphrase"
"""Name of the wordings in a query's ``metadata.paraphrases``, a list of strings."""

_CONTRACTIBLE = re.compile(r"\b(what|who|where|when|how) is\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wording:
    """A question and the name of the rewrite that made it."""

    rewrite: str
    text: str


REWRITES: Mapping[str, Callable[[str], str]] = {
    "lower_case": str.lower,
    "no_question_mark": lambda text: text.rstrip().removesuffix("?").rstrip(),
    "polite": lambda text: f"Can you tell me: {text}",
    "labelled": lambda text: f"Question: {text}",
    "contraction": lambda text: _CONTRACTIBLE.sub(r"\1's", text),
    "double_spaces": lambda text: text.replace(" ", "  "),
    "curly_apostrophe": lambda text: text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}"),
}
"""By name; one that leaves a question as it is makes no wording of it."""


def wordings(query: Query, most: int | None = None) -> tuple[Wording, ...]:
    """Return the question as it is, its paraphrases and its rewrites, each text once.

    :param most: how many at most, the question itself among them; None for all.
    """
    given = query.metadata.get("paraphrases")
    candidates = [
        (ORIGINAL, query.text),
        *((PARAPHRASE, text) for text in (given if isinstance(given, list) else ())),
        *((name, rewrite(query.text)) for name, rewrite in REWRITES.items()),
    ]
    unique: dict[str, Wording] = {}
    for name, text in candidates:
        if isinstance(text, str) and text.strip():
            unique.setdefault(text, Wording(name, text))
    return tuple(unique.values())[:most]
