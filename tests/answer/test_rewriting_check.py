"""What a language model makes of a follow-up is checked against the conversation."""

from __future__ import annotations

import pytest

from expertrag.answer.rewriting_check import is_faithful

TURNS = ("What does the solar panel Helio 420 cost?", "EUR 189 apiece, with delivery.")


@pytest.mark.parametrize(
    ("message", "rewriting"),
    [
        ("And what is its efficiency?", "What is the efficiency of the Helio 420?"),
        ("With VAT?", "What does the solar panel Helio 420 cost with VAT?"),
        ("hwo much is delivrey", "How much is delivery of the solar panel?"),
        ("Is that price fixed?", "Is EUR 189 for the solar panel fixed?"),
        ("No, I meant the 380.", "What does the solar panel Helio 380 cost?"),
        ("What is a roof?", "What is a roof?"),
    ],
)
def test_words_of_the_conversation_pass(message: str, rewriting: str) -> None:
    assert is_faithful(rewriting, message, TURNS)


@pytest.mark.parametrize(
    ("message", "rewriting"),
    [
        ("What is its efficiency?", "What is the efficiency of the Tesla panel?"),  # invents
        ("What is its efficiency?", "What is the efficiency of the Helio 360?"),
        ("And for the 380?", "What does the solar panel Helio 420 cost?"),  # drops
        ("With VAT?", "What does the solar panel Helio 420 cost?"),
        ("And?", "What does the solar panel Helio 420 cost?"),  # the last question
        ("What is its efficiency?", "The efficiency of the Helio 420 is 21 %."),
        ("Is it good?", "Is the Helio 420 good? What does it cost?"),
        ("Is it good?", "Is the Helio 420 good, " + "and good, " * 20 + "is it?"),
        ("Is it good?", ""),
    ],
)
def test_what_invents_or_drops_fails(message: str, rewriting: str) -> None:
    assert not is_faithful(rewriting, message, TURNS)
