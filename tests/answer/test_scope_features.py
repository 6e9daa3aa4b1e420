"""The features of a question: hashed words and letters."""

from __future__ import annotations

from expertrag.answer.scope_features import (
    BUCKETS,
    fold_diacritics,
    letter_buckets,
    word_buckets,
    words_of,
)


def test_case_and_digits_are_folded() -> None:
    assert words_of("Wie VIELE von 2025?") == ["wie", "viele", "von", "0000"]
    assert fold_diacritics("verträge") == "vertrage"


def test_a_typing_error_keeps_some_letters() -> None:
    right, wrong = (set(letter_buckets(words_of(text))) for text in ("contracts", "contarcts"))
    assert 0 < len(right & wrong) < len(right)


def test_a_long_text_is_read_at_both_ends() -> None:
    words = words_of("first " + "middle " * 1000 + "last")
    assert (words[0], words[-1], len(words)) == ("first", "last", 48)
    assert all(0 <= bucket < BUCKETS for bucket in word_buckets(words))
