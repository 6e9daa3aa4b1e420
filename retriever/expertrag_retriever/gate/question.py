"""Signals of a question's wording, computed without a model: length, type, names, time.

The word lists are English; for a question in another language, only the counts of letters, digits
and punctuation are informative.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TYPES: Mapping[str, str] = {
    "who": r"who|whom|whose",
    "what": r"what",
    "when": r"when|(?:in |on |during )?(?:what|which) (?:year|date|day|month|decade|century)",
    "where": r"where|(?:in |on |at |from |to )?(?:what|which) (?:city|country|state|place|county)",
    "which": r"(?:in |on |at |of |for |from |by |to )?which",
    "how_many": r"how (?:many|much|long|old|far|often|tall|big|high)",
    "how": r"how|why",
    "yes_no": r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)",
    "name": r"(?:name|give|list|tell|identify)",
}
"""First words of a question by type; the longest match decides, the first type among equals."""

_MARKS: Mapping[str, str] = {
    "has_year": r"\b(?:1\d{3}|20\d{2})\b",
    "quoted": r"[\"“”]",
    "of": r"\bof\b",
    "the": r"\bthe\b",
    "possessive": r"\w['\u2019]s?\b",
    "clause": r"\b(?:that|which|who|whose|where|when)\b",
    "superlative": r"\b(?:first|last|most|largest|biggest|best|highest|oldest|longest)\b",
    "comparison": r"\b(?:same|both|older|younger|earlier|later|larger|more|or)\b",
    "current": r"\b(?:now|current|currently|latest|today|this year|newest|still)\b",
    "relation": r"\b(?:father|mother|wife|husband|spouse|son|daughter|founder|director|author)\b",
    "work": r"\b(?:film|movie|song|album|book|novel|show|series|episode|game|band)\b",
    "place": r"\b(?:city|country|state|county|located|capital|river|region|born)\b",
    "organisation": r"\b(?:company|university|team|party|school|league|network|government)\b",
    "number": r"\b(?:number|percent|percentage|population|amount|total|size|date|year)\b",
}

_TYPE_PATTERNS = {name: re.compile(rf"(?:{words})\b") for name, words in _TYPES.items()}
_MARK_PATTERNS = {name: re.compile(pattern) for name, pattern in _MARKS.items()}


def question_signals(question: str) -> dict[str, float]:
    """Return counts and types of a question's wording by name, all finite."""
    words = question.split()
    lower = question.lower().strip()
    kind = _kind(lower)
    return {
        "question_words": float(len(words)),
        "question_characters": float(len(question)),
        "question_word_length": sum(map(len, words)) / len(words) if words else 0.0,
        "question_capitalised": float(sum(word[:1].isupper() for word in words[1:])),
        "question_digits": float(sum(character.isdigit() for character in question)),
        "question_commas": float(question.count(",")),
        "question_foreign_letters": float(sum(ord(character) > 127 for character in question)),
        "question_mark": float(lower.endswith("?")),
        "question_lower_case": float(question == question.lower()),
        "question_distinct_words": len(set(lower.split())) / len(words) if words else 0.0,
        **{f"question_is_{name}": float(name == kind) for name in _TYPES},
        **{
            f"question_{name}": float(len(pattern.findall(lower)))
            for name, pattern in _MARK_PATTERNS.items()
        },
    }


def _kind(lower: str) -> str | None:
    """Type of a question by its first words; the longest match decides, the first among equals."""
    lengths = {
        name: len(match.group())
        for name, pattern in _TYPE_PATTERNS.items()
        if (match := pattern.match(lower))
    }
    return max(lengths, key=lambda name: lengths[name]) if lengths else None
