"""Alternative wordings of a question with the same meaning.

Paraphrases from the data set come first, then rule-based rewrites, which change case, punctuation,
spacing, the opening, or a contraction. No language model is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from expertrag_lab.data.datasets import Query

ORIGINAL = "original"
PARAPHRASE = "paraphrase"
"""Rewrite name of the wordings in a query's ``metadata.paraphrases``, a list of strings."""

_CONTRACTIBLE = re.compile(r"\b(what|who|where|when|how) is\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Paraphrase:
    """A wording of a question, and the name of the rewrite that made it."""

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
"""Rewrites by name; one that does not change a question gives no wording."""


def wordings(
    query: Query, most: int | None = None, *, rewrites: bool = True
) -> tuple[Paraphrase, ...]:
    """Return the original question, its paraphrases and its rewrites, without duplicates.

    :param most: maximum number of wordings, including the original question; None for all.
    :param rewrites: whether to rewrite the question; else only the data set's paraphrases are used.
    """
    given = query.metadata.get("paraphrases")
    candidates = [
        (ORIGINAL, query.text),
        *((PARAPHRASE, text) for text in (given if isinstance(given, list) else ())),
        *((name, rewrite(query.text)) for name, rewrite in REWRITES.items() if rewrites),
    ]
    unique: dict[str, Paraphrase] = {}
    for name, text in candidates:
        if isinstance(text, str) and text.strip():
            unique.setdefault(text, Paraphrase(name, text))
    return tuple(unique.values())[:most]
