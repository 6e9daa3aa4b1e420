"""Readings that are kept."""

from __future__ import annotations

from expertrag.answer.scan.kept import KeptReadings, ReadingKey
from expertrag.answer.scan.result import Reading


def _key(**other: str) -> ReadingKey:
    given = {"text": "a", "noun": "contracts", "model": "m", "salt": "s", **other}
    return ReadingKey.of(
        given["text"], given["noun"], ("fee", "money"), given["model"], given["salt"]
    )


def test_a_reading_is_kept_for_the_same_text_model_and_caller() -> None:
    kept, reading = KeptReadings(), Reading("5 EUR")
    kept.put(_key(), reading)
    assert kept.get(_key()) is reading
    for name in ("text", "noun", "model", "salt"):
        assert kept.get(_key(**{name: "other"})) is None


def test_the_one_that_was_not_used_for_longest_goes() -> None:
    kept = KeptReadings(most=2)
    for text in ("a", "b"):
        kept.put(_key(text=text), Reading(text))
    kept.get(_key(text="a"))
    kept.put(_key(text="c"), Reading("c"))
    assert len(kept) == 2
    assert kept.get(_key(text="b")) is None
    assert kept.get(_key(text="a")) == Reading("a")
