"""Which answers are refusals in a model's own words."""

from __future__ import annotations

import pytest

from expertrag.answer.refusals import may_refuse, refuses


@pytest.mark.parametrize(
    "text",
    [
        "Not in the following lists. Not in the tables.",
        "Not mentioned.",
        "The passages do not mention the price of the probe.",
        "The provided context does not contain this information.",
        "I'm sorry, but I cannot answer that.",
        "I don't know.",
        "There is no information about opening hours in the text.",
        "The name of the bank is not specified in the passages.",
        "It cannot be determined from the passages.",
        "No answer.",
        "Unknown.",
        "  Unfortunately, the text says nothing about it.",
        "None of the passages mentions it.",
    ],
)
def test_refusals(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "No.",
        "No, employees may not carry over more than eight days.",
        "Not before 1 March.",
        "Nothing.",
        "27 days. Carried days are not mentioned.",  # a first sentence that answers
        "Sorrel and thyme.",
        "Unknown Pleasures.",
        "It is not allowed to smoke in the workshop.",
        "",
    ],
)
def test_answers(text: str) -> None:
    assert not refuses(text)


def test_the_first_sentence_decides() -> None:
    assert may_refuse("The passages do")
    assert not may_refuse("It is 27 days. The")
    assert not may_refuse("Employees get")  # no refusal begins like this
    assert may_refuse("Th")
    assert not may_refuse("the two three four five six seven eight " * 3)
