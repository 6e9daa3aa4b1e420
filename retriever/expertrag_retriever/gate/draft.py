"""Signals of a closed-book draft's text: its form, and its overlap with the question."""

from __future__ import annotations

import re

from expertrag_index.words.patterns import WORD

_YEAR = re.compile(r"\b(?:1\d{3}|20\d{2})\b")
_DOUBT = re.compile(
    r"\b(?:not|no|none|unknown|unclear|cannot|unable|sorry|unsure|depends|n/a)\b|n['\u2019]t\b"
)


def draft_signals(question: str, draft: str) -> dict[str, float]:
    """Return counts and forms of a draft by name, all finite; all 0 for an empty draft."""
    lower = draft.lower().strip()
    words = WORD.findall(lower)
    asked = set(WORD.findall(question.lower()))
    repeated = sum(word in asked for word in words)
    return {
        "draft_words": float(len(words)),
        "draft_characters": float(len(draft)),
        "draft_digits": float(sum(character.isdigit() for character in draft)),
        "draft_is_year": float(bool(_YEAR.fullmatch(lower.strip(". ")))),
        "draft_is_number": float(bool(re.fullmatch(r"[\d,.]+", lower))),
        "draft_is_yes_no": float(lower.startswith(("yes", "no"))),
        "draft_has_year": float(bool(_YEAR.search(lower))),
        "draft_is_sentence": float(lower.endswith(".")),
        "draft_is_one_word": float(len(words) == 1),
        "draft_capitalised": float(sum(word[:1].isupper() for word in draft.split())),
        "draft_lower_case": float(draft == draft.lower()),
        "draft_commas": float(draft.count(",")),
        "draft_foreign_letters": float(sum(ord(character) > 127 for character in draft)),
        "draft_doubt": float(len(_DOUBT.findall(lower))),
        "draft_repeats_question": repeated / len(words) if words else 0.0,
        "draft_repeated_words": float(repeated),
    }
